"""What a waiting person sees on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from agentcorps.cli.model import status_of
from agentcorps.cli.output import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agentcorps.cli.model import Object

MAX_NARRATED: Final = 10
"""With more Tasks than these, only a terminal shows what each of them does."""


@contextmanager
def bar(what: str, total: int, *, color: bool) -> Iterator[Callable[[int, str], None]]:
    """Yield a function that shows (how many are done, a few words); silent without a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _words: None
        return
    from rich.console import Console  # noqa: PLC0415 (rich is slow to load)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    console = Console(stderr=True, no_color=None if color else True)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}", markup=False),
    )
    # Data printed meanwhile goes around the bar when both share a terminal, else to stdout.
    shared = sys.stdout.isatty()
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=shared, redirect_stderr=False
    ) as progress:
        shown = progress.add_task(what, total=total, words="")
        yield lambda done, words: progress.update(shown, completed=done, words=words)


class Narrator:
    """Tells in plain lines what becomes of a few Tasks, each change once."""

    def __init__(self, tasks: int) -> None:
        self._silent = sys.stderr.isatty() or tasks > MAX_NARRATED
        self._last: dict[str, str] = {}

    def tell(self, task: Object) -> None:
        """Write a line if the Task changed visibly."""
        name, line = task["metadata"]["name"], story(task)
        if self._last.get(name) != line:
            self._last[name] = line
            if not self._silent:
                note(f"{name}: {line}")


def story(task: Object) -> str:
    """Return in a few words where a Task is."""
    status = status_of(task)
    phase = status.get("phase", "Queued")
    words = str(phase)
    if phase == "Running":
        words += f" on {status.get('agentName', '?')} (attempt {status.get('attempt', 1)})"
        progress = status.get("progress") or {}
        if progress.get("percent") is not None:
            words += f" {progress['percent']}%"
        return f"{words} {progress.get('message') or ''}".rstrip()
    reason, message = status.get("reason"), status.get("message")
    if reason and phase != "Succeeded":
        words += f": {reason}"
        words += f": {message}" if message else ""
    return words
