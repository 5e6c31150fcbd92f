"""The command line: ``run``, and the roles of the processes that it starts."""

import argparse
import asyncio
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import uvloop

from perf.bench import agents, report, witness
from perf.bench.blocks import BLOCKS, Arms, say
from perf.bench.client import Json
from perf.bench.plane import leftovers
from perf.bench.plots import draw
from perf.bench.policy_report import draw_policies, policy_table
from perf.bench.profiling import profile
from perf.bench.run import Run
from perf.bench.sizes import FULL, QUICK, Sizes
from support.api_server import ROOT, cluster_tool

RANGES = ROOT / "docs/performance/ranges.yaml"
_INTERRUPTED = 130
_LONGEST_QUESTION = 2**20


def main(argv: Sequence[str]) -> int:
    """Run one role; returns the exit code."""
    options = parser().parse_args(argv)
    match options.role:
        case "agents":
            uvloop.run(_agents(options.kubeconfig, options.namespace))
        case "witness":
            witness.serve(options.kubeconfig, options.namespace)
        case _:
            return _measure(options)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(prog="bench", description="Measure the operator and its peers.")
    roles = top.add_subparsers(dest="role", required=True)
    runner = roles.add_parser("run", help="measure, print a table, write bench.json and plots")
    runner.add_argument("--quick", action="store_true", help="the same on smaller numbers")
    runner.add_argument("--only", nargs="+", default=[], choices=BLOCKS, metavar="BLOCK")
    runner.add_argument("--repetitions", type=int, default=0)
    runner.add_argument("--out", type=Path, default=ROOT / "docs/performance")
    profiler = roles.add_parser("profile", help="draw a flame graph of the operator under W2")
    profiler.add_argument("--quick", action="store_true", help="the same on smaller numbers")
    profiler.add_argument("--out", type=Path, default=ROOT / "docs/performance")
    for name in ("agents", "witness"):
        child = roles.add_parser(name, help="a process that `run` starts")
        child.add_argument("--kubeconfig", type=Path, required=True)
        child.add_argument("--namespace", required=True)
    return top


def _measure(options: argparse.Namespace) -> int:
    """Start from nothing, and leave nothing behind."""
    for name in leftovers():
        cluster_tool("down", "--name", name)
    logs = ROOT / "build" / "bench"
    shutil.rmtree(logs, ignore_errors=True)
    # What is started is ended on SIGTERM, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sizes = QUICK if options.quick else FULL
    try:
        if options.role == "profile":
            _profile(sizes, options.out, logs)
        else:
            return _run(options, sizes, logs)
    except KeyboardInterrupt:
        say("interrupted; everything that was started has been ended")
        return _INTERRUPTED
    return 0


def _run(options: argparse.Namespace, sizes: Sizes, logs: Path) -> int:
    """Measure and tell; 1 when a repetition failed."""
    if options.repetitions:
        sizes = replace(sizes, repetitions=options.repetitions)
    began = time.monotonic()
    run = Run(sizes, frozenset(options.only), logs)
    uvloop.run(run.measure())
    conditions = _conditions(sizes, time.monotonic() - began)
    _tell(run.arms, options.out, {**conditions, "failed": run.failed})
    return int(bool(run.failed))


def _profile(sizes: Sizes, folder: Path, logs: Path) -> None:
    target = folder / "profile.svg"
    for needed in (folder, logs):
        needed.mkdir(parents=True, exist_ok=True)
    rate = uvloop.run(profile(sizes, target, logs))
    print(f"{target}: the operator at {rate:.0f} tasks a second")  # noqa: T201


def _tell(arms: Arms, folder: Path, conditions: Json) -> None:
    """Print the tables, and write what they are made from."""
    files = [report.write(folder, report.answer(arms, conditions)), *draw(folder, arms)]
    files += draw_policies(folder, arms)
    written = "\n".join(map(str, files))
    keys = report.table(arms, report.ranges(RANGES))
    tables = "\n\n".join(filter(None, (keys, report.arm_table(arms), policy_table(arms))))
    print(f"{tables}\n\n{written}")  # noqa: T201


def _conditions(sizes: Sizes, seconds: float) -> Json:
    """Return what a reader of the figures has to know of the run."""
    return {
        "mode": sizes.mode,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds),
        "cores": os.cpu_count(),
        "load_average": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
        "sizes": asdict(sizes),
    }


async def _agents(kubeconfig: Path, namespace: str) -> None:
    questions = asyncio.StreamReader(limit=_LONGEST_QUESTION)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    await agents.serve(kubeconfig, namespace, questions)
