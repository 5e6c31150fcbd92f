"""`agentcorps task logs`: what the agent wrote while it worked on a Task."""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentcorps.api.kinds import TASK
from agentcorps.api.meta import TaskPhase
from agentcorps.cli.attempt_log import AttemptId, AttemptLog
from agentcorps.cli.attempt_pod import Ran, Source, attempt_of, source_of
from agentcorps.cli.connection import connect
from agentcorps.cli.model import Object, is_finished, phase_of, status_of
from agentcorps.cli.names import TaskName
from agentcorps.cli.options import Connection, command
from agentcorps.cli.output import bare_name, emit, note
from agentcorps.cli.waiting import PAUSE_SECONDS, wait_for

if TYPE_CHECKING:
    from agentcorps.cli.cluster import Cluster

EPILOG = """  agentcorps task logs report-1
  agentcorps task logs report-1 -f
  agentcorps task logs report-1 --attempt 1 --timestamps"""

ANSWER_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 10.0
"""Silence after which it is asked whether the attempt is over: its last line may never come."""
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def register(app: typer.Typer) -> None:
    """Add the command to its noun."""
    command(app, "logs", epilog=EPILOG)(logs)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which log, and which lines of it."""

    attempt: Annotated[
        int | None,
        typer.Option("--attempt", min=1, help="Number of the attempt; by default the last one."),
    ] = None
    container: Annotated[
        str | None,
        typer.Option("--container", "-c", metavar="NAME", help="Container; by default the first."),
    ] = None
    previous: Annotated[
        bool,
        typer.Option(
            "--previous",
            "-p",
            help="The container before its last restart; without it, as the times say.",
        ),
    ] = False
    shared: Annotated[
        bool,
        typer.Option(
            "--shared", help="With lines that another Task in the pod may have written as well."
        ),
    ] = False
    timestamps: Annotated[
        bool, typer.Option("--timestamps", help="Put the time before each line.")
    ] = False


def logs(
    name: TaskName,
    *,
    wanted: Wanted,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="Wait for its start, and go on until its end, over all attempts."
        ),
    ] = False,
    connection: Connection,
) -> None:
    """Print what the agent wrote while it worked on a Task.

    Of the pod's log these are the lines that name the Task, as the SDK's do, and those that no
    other Task can have written. The log lives as long as the pod: exit code 3 when it is gone, 4
    when the Task has not been run yet.
    """
    with connect(connection) as cluster:
        task = cluster.get(TASK, bare_name(name))
        if follow:
            _Follower(cluster, wanted, color=not connection.no_color).follow(task)
        else:
            ran = attempt_of(task, wanted.attempt)
            reader = _Reader(cluster, task, ran, wanted)
            reader.read()
            reader.explain()


class _Follower:
    """Follows the attempts of a Task, one after the other."""

    def __init__(self, cluster: "Cluster", wanted: Wanted, *, color: bool) -> None:
        self._cluster = cluster
        self._wanted = wanted
        self._color = color

    def follow(self, task: Object) -> None:
        """Print until the Task has ended, or the attempt that is wanted."""
        number = self._wanted.attempt or max(1, status_of(task).get("attempt", 0))
        while True:
            task = self._begun(task, number)
            if status_of(task).get("attempt", 0) < number:
                note(f"{task['metadata']['name']} has ended: {phase_of(task)}")
                return
            reader = _Reader(self._cluster, task, attempt_of(task, number), self._wanted)
            while not reader.read(follow=True):
                # A log that ends at once must not turn this into a busy loop.
                time.sleep(PAUSE_SECONDS)
            reader.explain()
            if self._wanted.attempt is not None:
                return
            number += 1
            task = self._cluster.get(TASK, task["metadata"]["name"])

    def _begun(self, task: Object, number: int) -> Object:
        """Wait until an attempt has begun, or the Task has ended without it."""

        def begun(now: Object) -> bool:
            return is_finished(now) or status_of(now).get("attempt", 0) >= number

        if begun(task):
            return task
        name = task["metadata"]["name"]
        return wait_for(self._cluster, [name], begun, timeout=None, color=self._color)[0]


class _Reader:
    """Reads the log of one attempt, once or as it grows."""

    def __init__(self, cluster: "Cluster", task: Object, ran: Ran, wanted: Wanted) -> None:
        self._cluster = cluster
        self._name = task["metadata"]["name"]
        self._ran = ran
        self._wanted = wanted
        self._source = self._locate()
        attempt = AttemptId(task["metadata"]["uid"], ran.number)
        self._log = AttemptLog(attempt, shared=wanted.shared)
        self._newest = ("", "")

    def read(self, *, follow: bool = False) -> bool:
        """Print what is new; returns whether the attempt is over, as far as its log goes."""
        over = follow and self._is_over()
        if over:
            # Its container may have been restarted since.
            self._source = self._locate()
        growing = follow and not (over or self._source.previous)
        for stamp, line in self._lines(self._source, growing=growing):
            if self._log.takes(line):
                emit(f"{stamp} {_tame(line)}" if self._wanted.timestamps else _tame(line))
            if growing and self._log.ended:
                return True
        return over or self._source.previous

    def explain(self) -> None:
        """Say what was left out, and why."""
        if self._log.withheld:
            note(
                f"{self._log.withheld} lines left out: other Tasks ran in the pod at the same time,"
                " and the lines do not say whose they are; --shared shows them"
            )
        elif not self._log.shown:
            note(
                f"the log of pod {self._source.pod} says nothing of attempt {self._ran.number} (it"
                " may have been rotated, or the agent does not use the SDK): see"
                f" `kubectl logs {self._source.pod} -c {self._source.container}`"
            )

    def _locate(self) -> Source:
        return source_of(
            self._cluster,
            self._ran,
            container=self._wanted.container,
            previous=self._wanted.previous or None,
        )

    def _lines(self, source: Source, *, growing: bool) -> Iterator[tuple[str, str]]:
        """Yield (time, line) for lines that were not read yet."""
        lines = self._cluster.log(
            source.pod,
            idle_seconds=IDLE_SECONDS if growing else ANSWER_SECONDS,
            container=source.container,
            timestamps="true",
            previous="true" if source.previous else None,
            follow="true" if growing else None,
            # Whole seconds: what was read of the last one comes again.
            sinceTime=f"{self._newest[0]}Z" if self._newest[0] else None,
        )
        for whole in lines:
            stamp, _, line = whole.partition(" ")
            moment = _moment(stamp)
            if moment > self._newest:
                self._newest = moment
                yield stamp, line

    def _is_over(self) -> bool:
        status = status_of(self._cluster.get(TASK, self._name))
        current = status.get("attempt", 0) == self._ran.number
        return not (current and status.get("phase") == TaskPhase.RUNNING)


def _moment(stamp: str) -> tuple[str, str]:
    """Return a time of the log as (seconds, fraction), so that they compare."""
    seconds, _, fraction = stamp.removesuffix("Z").partition(".")
    return seconds, fraction.ljust(9, "0")


def _tame(line: str) -> str:
    """Return a line without what a terminal would obey; elsewhere it stays as it is."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", line) if sys.stdout.isatty() else line
