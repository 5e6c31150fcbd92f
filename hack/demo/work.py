"""The work of the demo: each chapter of a novel is a Task for the pool."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from agentcorps.api.kinds import TASK
from agentcorps.cli import submission
from agentcorps.cli.inputs import Document
from agentcorps.cli.manifests import TaskSettings, task_from_input
from agentcorps.cli.model import Object, is_finished, phase_of
from agentcorps.cli.options import DryRun
from agentcorps.cli.waiting import wait_for
from demo.cast import POOL
from demo.kubectl import DemoError, kubectl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentcorps.cli.cluster import Cluster
    from demo.screen import Screen

DOCUMENTS = Path("examples/text-agent/documents")
LABEL = "agentcorps.dev/example=pride-and-prejudice"
WAIT_SECONDS = 600.0
PLAIN_LINES = 6
"""Lines that tell of the progress where no bar can be drawn."""
SHOWN_ROWS = 12
COLUMNS = (
    ("CHAPTER", False),
    ("WORDS", True),
    ("EASE", True),
    ("GRADE", True),
    ("AGENT", False),
    ("ATTEMPT", True),
    ("KEYWORDS", False),
)


def submit(screen: Screen, cluster: Cluster) -> list[str]:
    """Submit every document as a Task and return the Tasks' names; those of earlier runs go."""
    screen.step("The tasks")
    files = sorted(DOCUMENTS.glob("*.txt"))
    if not files:
        raise DemoError(f"{DOCUMENTS}: no documents; start the demo from the top of the checkout")
    _clear(screen, cluster)
    tasks = [_task(file) for file in files]
    size = sum(file.stat().st_size for file in files)
    created = submission.submit(cluster, tasks, DryRun.NONE, lambda *_: None, color=True)
    screen.say(f"{len(created)} chapters of Pride and Prejudice submitted, {size // 1000} kB")
    return [task["metadata"]["name"] for task in created]


def _clear(screen: Screen, cluster: Cluster) -> None:
    """Delete the Tasks of earlier runs, all in one request."""
    gone = kubectl("get", "tasks", "--selector", LABEL, "--output", "name").split()
    if gone:
        place = f"/apis/{TASK.api_version}/namespaces/{cluster.namespace}/{TASK.plural}"
        kubectl("delete", "--raw", f"{place}?labelSelector={quote(LABEL)}")
        screen.say(f"{len(gone)} tasks of an earlier run deleted")


def _task(file: Path) -> Document:
    chapter = file.stem.rpartition("-")[2]
    text = file.read_text(encoding="utf-8")
    given = {"title": f"Chapter {int(chapter)}", "text": text, "keywords": 5}
    settings = TaskSettings(
        pool=POOL, requires=("analyse",), generate_name=f"chapter-{chapter}-", labels=(LABEL,)
    )
    return task_from_input(Document(given, file.name), settings)


def follow(screen: Screen, cluster: Cluster, names: Sequence[str]) -> list[Object]:
    """Wait until all Tasks have ended; a bar on a terminal, a few lines elsewhere."""
    counter = _Counter(screen, len(names))
    tasks = wait_for(cluster, names, counter.finished, timeout=WAIT_SECONDS, color=True)
    screen.say(f"{len(tasks)} of {len(names)} done")
    return tasks


class _Counter:
    """Counts the Tasks that have ended while they are waited for."""

    def __init__(self, screen: Screen, total: int) -> None:
        self._say = screen.say
        self._total = total
        self._ended: set[str] = set()
        self._told = 0
        self._bar = sys.stderr.isatty()

    def finished(self, task: Object) -> bool:
        ended = is_finished(task)
        if ended:
            self._ended.add(task["metadata"]["name"])
            self._tell()
        return ended

    def _tell(self) -> None:
        share = len(self._ended) * PLAIN_LINES // self._total
        if share > self._told and not self._bar and len(self._ended) < self._total:
            self._told = share
            self._say(f"{len(self._ended)} of {self._total} done")


@dataclass(frozen=True, slots=True)
class Totals:
    """All Tasks together."""

    succeeded: int
    total: int
    words: int
    by_agent: dict[str, int]
    again: int
    """Tasks that needed more than one attempt."""

    @classmethod
    def of(cls, tasks: Sequence[Object]) -> Totals:
        """Count."""
        by_agent: dict[str, int] = {}
        for task in tasks:
            name = task["status"].get("agentName", "?")
            by_agent[name] = by_agent.get(name, 0) + 1
        results = [_result(task) for task in tasks]
        return cls(
            succeeded=sum(phase_of(task) == "Succeeded" for task in tasks),
            total=len(tasks),
            words=sum(result["readability"]["words"] for result in results if result),
            by_agent=dict(sorted(by_agent.items())),
            again=sum(task["status"].get("attempt", 0) > 1 for task in tasks),
        )


def show_results(screen: Screen, tasks: Sequence[Object]) -> Totals:
    """Show a table of the first chapters, and all of them summed up."""
    screen.step("The results")
    screen.table(COLUMNS, [row(task) for task in tasks[:SHOWN_ROWS]])
    if len(tasks) > SHOWN_ROWS:
        screen.say(f"... and {len(tasks) - SHOWN_ROWS} more chapters")
    totals = Totals.of(tasks)
    shares = ", ".join(f"{agent} did {count}" for agent, count in totals.by_agent.items())
    screen.say(f"{totals.succeeded} of {totals.total} succeeded; {totals.words:,} words; {shares}")
    if totals.again:
        screen.say(f"{totals.again} needed more than one attempt")
    first = _result(tasks[0])
    if first:
        screen.say("Chapter 1 in one sentence: " + first["summary"][0])
    return totals


def row(task: Object) -> list[str]:
    """Return a line of the table; without a result the reason stands in its place."""
    status = task["status"]
    result = _result(task)
    agent, attempt = status.get("agentName", ""), str(status.get("attempt", 0))
    if not result:
        story = f"{phase_of(task)}: {status.get('reason', '')}"
        return [task["metadata"]["name"], "", "", "", agent, attempt, story]
    numbers = result["readability"]
    return [
        result["title"],
        str(numbers["words"]),
        str(numbers["reading_ease"]),
        str(numbers["grade"]),
        agent,
        attempt,
        ", ".join(keyword["text"] for keyword in result["keywords"]),
    ]


def _result(task: Object) -> dict[str, Any]:
    return task["status"].get("result") or {}
