"""`make validate-simulation`: what the simulator predicts, and what a real operator does."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from agentcorps.core.simulation.plan import Job
from perf.bench.client import Client
from perf.bench.plane import Plane, started
from perf.bench.replay import PROBE_JOB, Replayed, replay
from perf.bench.traces import TRACES, Figures, Load, figures, predicted

START_SECONDS = 3.0
NEAR = 0.10
LEAST_WAIT = 5.0
"""Seconds: a tenth of less would be what a busy machine takes to deliver a Task."""


@pytest.fixture(scope="module")
def plane() -> Iterator[Plane]:
    """Return a control plane with nodes of kwok."""
    with started(f"it-simulation-{os.getpid()}") as running:
        yield running


def probe_seconds(loads: Mapping[str, Load], start_seconds: float) -> float:
    """Return for how long a simulated agent exists for the probe, were its pod gone at once."""
    name = next(iter(loads))
    later = Job(3600.0, 1.0)
    load = Load(loads[name].scaling, [PROBE_JOB, later])
    both = predicted({name: load}, None, start_seconds, 0.0).pools.values()
    return sum(told.agent_seconds for told in both) - start_seconds - later.seconds


def table(name: str, real: Figures, told: Figures) -> str:
    """Return both as lines of Markdown."""
    lines = [
        f"| {name}: median wait of {pool} | {wait:.1f} s | {told.waits[pool]:.1f} s"
        f" | {told.waits[pool] / wait - 1:+.1%} |"
        for pool, wait in real.waits.items()
    ]
    share = told.hours / real.hours - 1
    return "\n".join(
        [*lines, f"| {name}: agent-hours | {real.hours:.4f} | {told.hours:.4f} | {share:+.1%} |"]
    )


def measured(real: Replayed) -> Figures:
    """Return the figures of a real run."""
    waits = {name: median(each) for name, each in real.waits.items()}
    return Figures(waits, real.agent_seconds / 3600)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TRACES)
async def test_a_prediction_comes_true(name: str, plane: Plane, tmp_path: Path) -> None:
    """Median waits and agent-hours of a real run are those of a simulation, within ten percent.

    The simulation is told when Tasks were created, and what one Task before all others showed: how
    long an agent takes to start, and to be gone.
    """
    trace = TRACES[name]
    async with Client.connected(plane.kubeconfig) as client:
        real = await replay(plane, client, f"replay-{name}", trace, START_SECONDS, tmp_path)
    stop_seconds = max(0.0, real.probe_seconds - probe_seconds(real.loads, real.start_seconds))
    outcome = predicted(real.loads, trace.pods, real.start_seconds, stop_seconds)
    was, told = measured(real), figures(outcome, probes=1)
    print(  # noqa: T201 - the table is what this is run for
        f"\n{table(name, was, told)}\n{real.most_agents} agents at most; by the probe an agent"
        f" starts in {real.start_seconds:.1f} s and is gone {stop_seconds:.1f} s after its end"
    )
    assert {pool: len(each) for pool, each in real.waits.items()} == {
        pool: len(load.jobs) for pool, load in trace.loads.items()
    }
    assert min(was.waits.values()) >= LEAST_WAIT
    assert was.far(told) <= NEAR
    # One that ignored what the trace is about would not have come so near.
    ignorant = {
        pool: replace(load, jobs=real.loads[pool].jobs) for pool, load in trace.wrong.items()
    }
    wrong = predicted(ignorant, trace.pods, real.start_seconds, stop_seconds)
    assert was.far(figures(wrong, probes=1)) > NEAR
