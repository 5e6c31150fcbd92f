"""Waiting for Tasks: list, watch for a bounded time, list again, so that nothing is missed."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from agentcorps.api.kinds import TASK
from agentcorps.api.meta import TaskPhase
from agentcorps.cli.errors import (
    CliError,
    InputError,
    NotFoundError,
    TaskCancelledError,
    TaskFailedError,
    UnreachableError,
    WaitTimeoutError,
)
from agentcorps.cli.model import phase_of
from agentcorps.cli.progress import Narrator, bar, story

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object

WATCH_SECONDS: Final = 30.0
"""Longest time on one watch: a connection that went silent is noticed after it."""
PATIENCE_SECONDS: Final = 60.0
"""Time that the API server may be unreachable before waiting is given up."""
PAUSE_SECONDS: Final = 1.0

_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")


def parse_duration(text: str) -> float:
    """Return seconds of a duration such as 90, 90s, 5m or 1h30m.

    Raises:
        InputError: It is none.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise InputError(f"{text!r} is not a duration: write for example 90s, 5m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


class _Watched:
    """The Tasks waited for, and what is known of them."""

    def __init__(self, names: Sequence[str], until: Callable[[Object], bool], limit: float) -> None:
        self.names = tuple(dict.fromkeys(names))
        self.pending = set(self.names)
        self.seen: dict[str, Object] = {}
        self._all = frozenset(self.names)
        self._until = until
        self._deadline = time.monotonic() + limit

    def observe(self, task: Object) -> bool:
        """Take in a state of a Task; False for one that nobody waits for."""
        name = task["metadata"]["name"]
        if name not in self._all:
            return False
        self.seen[name] = task
        if self._until(task):
            self.pending.discard(name)
        return True

    def left(self) -> float:
        """Seconds left."""
        return self._deadline - time.monotonic()

    def over(self) -> bool:
        """Tell whether there is nothing more to wait for, or no time."""
        return not self.pending or self.left() <= 0


def wait_for(
    cluster: Cluster,
    names: Sequence[str],
    until: Callable[[Object], bool],
    *,
    timeout: float | None,
    color: bool,
) -> list[Object]:
    """Wait until all named Tasks satisfy `until`; show progress on stderr.

    Args:
        cluster: Where the Tasks are.
        names: Their names in the cluster's namespace.
        until: The condition.
        timeout: Seconds; None waits as long as it takes.
        color: Whether the progress bar may have colours.

    Raises:
        WaitTimeoutError: Not all did in time.
        NotFoundError: A Task does not exist, or was deleted meanwhile.
    """
    limit = float("inf") if timeout is None else timeout
    watched = _Watched(names, until, limit)
    total = len(watched.names)
    narrator = Narrator(total)
    with bar("waiting", total, color=color) as show:

        def observe(task: Object) -> None:
            if watched.observe(task):
                narrator.tell(task)
                show(total - len(watched.pending), story(task) if total == 1 else "")

        _follow(cluster, watched, observe)
    if watched.pending:
        raise WaitTimeoutError(_still_waiting(watched, limit))
    return [watched.seen[name] for name in watched.names]


def _follow(cluster: Cluster, watched: _Watched, observe: Callable[[Object], None]) -> None:
    reached = time.monotonic()
    while True:
        started = time.monotonic()
        try:
            version = _look(cluster, watched, observe)
            reached = time.monotonic()
            if not watched.over():
                _watch(cluster, watched, version, observe)
        except UnreachableError:
            if time.monotonic() - reached > PATIENCE_SECONDS:
                raise
        if watched.over():
            return
        # A watch that ends at once must not turn this into a busy loop.
        time.sleep(max(0.0, min(PAUSE_SECONDS - (time.monotonic() - started), watched.left())))


def _look(cluster: Cluster, watched: _Watched, observe: Callable[[Object], None]) -> str:
    """Read all Tasks that are waited for; returns the resource version to watch from."""
    if len(watched.names) == 1:
        task = cluster.get(TASK, watched.names[0])
        observe(task)
        return str(task["metadata"]["resourceVersion"])
    wanted, version = set(watched.names), ""
    for page in cluster.pages(TASK, cluster.namespace):
        version = version or page["metadata"]["resourceVersion"]
        for task in page["items"]:
            if task["metadata"]["name"] in wanted:
                wanted.discard(task["metadata"]["name"])
                observe(task)
    # A finished Task may be gone by its ttl; what was seen of it is final.
    gone = sorted(wanted & watched.pending)
    if gone:
        cluster.get(TASK, gone[0])
        raise NotFoundError(f"task {gone[0]!r} was deleted while it was waited for")
    return version


def _watch(
    cluster: Cluster, watched: _Watched, version: str, observe: Callable[[Object], None]
) -> None:
    single = f"metadata.name={watched.names[0]}" if len(watched.names) == 1 else None
    seconds = min(WATCH_SECONDS, watched.left())
    changes = cluster.watch(TASK, cluster.namespace, version, seconds, fieldSelector=single)
    for change, task in changes:
        observe(task)
        name = task["metadata"]["name"]
        if change == "DELETED" and name in watched.pending:
            raise NotFoundError(f"task {name!r} was deleted while it was waited for")
        if watched.over():
            return


def _still_waiting(watched: _Watched, limit: float) -> str:
    pending = watched.pending
    first = next(name for name in watched.names if name in pending)
    where = story(watched.seen[first]) if first in watched.seen else "not seen"
    others = f" and {len(pending) - 1} more" if len(pending) > 1 else ""
    return (
        f"task {first!r} ({where}){others} not done after {limit:g} s: wait on, or ask"
        f" `agentcorps task why {first}`"
    )


def outcome_of(tasks: Sequence[Object]) -> CliError | None:
    """Return the error that finished Tasks end a command with; failure goes before cancellation."""
    failed = [task for task in tasks if phase_of(task) in {TaskPhase.FAILED, TaskPhase.TIMED_OUT}]
    cancelled = [task for task in tasks if phase_of(task) is TaskPhase.CANCELLED]
    bad = failed or cancelled
    if not bad:
        return None
    name = bad[0]["metadata"]["name"]
    others = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    error = TaskFailedError if failed else TaskCancelledError
    return error(f"task {name!r} {story(bad[0])}{others}; see `agentcorps task why {name}`")
