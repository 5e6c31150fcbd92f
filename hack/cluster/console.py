"""Progress on standard error; standard output is left to results."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import ClusterError

Condition = Callable[[], bool]

_HEARTBEAT_SECONDS = 15.0
_TAIL_LINES = 15


def say(text: str) -> None:
    """Print one line of progress."""
    print(text, file=sys.stderr, flush=True)


def elapsed(since: float) -> str:
    """Return the time since a monotonic instant as people write it, such as ``2 min 05 s``."""
    seconds = time.monotonic() - since
    if seconds < 60:  # noqa: PLR2004 -- a minute
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a step's title at its start, and again with the time taken at its end."""
    started = time.monotonic()
    say(f"  .. {title}")
    try:
        yield
    except BaseException:
        say(f"  !! {title} (after {elapsed(started)})")
        raise
    say(f"  ok {title} ({elapsed(started)})")


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log, indented for an error message."""
    if not log.exists():
        return "    (no output)"
    text = log.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in text) or "    (no output)"


def run_logged(
    title: str,
    argv: Sequence[str],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    progress: Callable[[Path], str] | None = None,
) -> None:
    """Run a long command with its output in a log, and show that it is alive.

    Args:
        title: what the command does, for people.
        argv: the command.
        log: where its output goes; overwritten.
        cwd: its working directory.
        env: variables added to the environment.
        progress: reads the log and returns what to add to the heartbeat line.

    Raises:
        ClusterError: the command failed; the text ends with the log's last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with step(title), log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            code = _wait_aloud(process, started, lambda: progress(log) if progress else "")
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if code:
            raise ClusterError(
                f"{title}: {argv[0]} exited with {code}; the whole output is in {log}\n{tail(log)}"
            )


def _wait_aloud(process: subprocess.Popen[bytes], started: float, detail: Callable[[], str]) -> int:
    while True:
        try:
            return process.wait(timeout=_HEARTBEAT_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"     {elapsed(started)}{detail()}")


def wait_until(
    what: str,
    ready: Condition,
    *,
    seconds: float,
    failed: Callable[[], str | None] = lambda: None,
    interval: float = 0.1,
) -> None:
    """Poll a condition until it holds.

    Args:
        what: the condition, for people.
        ready: says whether it holds.
        seconds: the longest wait.
        failed: returns why waiting is pointless, or None.
        interval: seconds between two polls.

    Raises:
        ClusterError: it did not hold in time, or cannot hold any more.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        reason = failed()
        if reason is not None:
            raise ClusterError(f"{what}: {reason}")
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not after {seconds:.0f} s")
        time.sleep(interval)
