"""Sending Tasks one after the other, each once, and printing what came out of them."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from agentcorps.api.kinds import TASK
from agentcorps.cli import objects
from agentcorps.cli.errors import AlreadyExistsError, CliError, InputError
from agentcorps.cli.manifests import check
from agentcorps.cli.model import is_finished, phase_of
from agentcorps.cli.objects import create_one
from agentcorps.cli.options import DryRun, Format
from agentcorps.cli.output import emit, full_name, to_json, to_yaml
from agentcorps.cli.payloads import with_result
from agentcorps.cli.progress import bar
from agentcorps.cli.waiting import outcome_of, parse_duration, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.inputs import Document
    from agentcorps.cli.model import Object
    from agentcorps.cli.options import Connection, Creation, Printing, Waiting


@dataclass(frozen=True, slots=True)
class Sending:
    """How Tasks are sent, and what is printed of them."""

    waits: bool
    seconds: float | None
    """Longest time to wait."""
    creation: Creation
    printing: Printing
    color: bool

    @classmethod
    def of(
        cls, waiting: Waiting, creation: Creation, printing: Printing, connection: Connection
    ) -> Self:
        """Return what the options say.

        Raises:
            InputError: They contradict each other, or the time cannot be read.
        """
        if waiting.wait and creation.dry_run is not DryRun.NONE:
            raise InputError("--wait and --dry-run exclude each other")
        seconds = None if waiting.timeout is None else parse_duration(waiting.timeout)
        return cls(waiting.wait, seconds, creation, printing, not connection.no_color)

    def report(self, item: Object, verb: str) -> None:
        """Print what became of a Task, unless its result is to be printed."""
        if not self.waits:
            objects.report(item, verb, self.printing, self.creation)


def send(cluster: Cluster, documents: Sequence[Document], sending: Sending) -> None:
    """Create Tasks, each once, and print them; if it is to wait, their results instead.

    Raises:
        CliError: One of them could not be created, did not succeed, or not all ended in time.
    """
    created = submit(
        cluster, documents, sending.creation.dry_run, sending.report, color=sending.color
    )
    if sending.waits:
        _follow(cluster, created, sending)


def submit(
    cluster: Cluster,
    documents: Sequence[Document],
    dry_run: DryRun,
    report: Callable[[Object, str], None],
    *,
    color: bool,
) -> list[Object]:
    """Check all Tasks, then create one after the other and report each as (object, outcome)."""
    for document in documents:
        check(TASK, document, cluster.namespace)
    created: list[Object] = []
    with bar("submitting", len(documents), color=color) as show:
        for document in documents:
            try:
                item, verb = _submit_one(cluster, document, dry_run)
            except CliError as error:
                if len(documents) == 1:
                    raise
                raise type(error)(
                    f"{document.place}: {error} ({len(created)} of {len(documents)} submitted)"
                ) from error
            created.append(item)
            report(item, verb)
            show(len(created), "")
    return created


def _submit_one(cluster: Cluster, document: Document, dry_run: DryRun) -> tuple[Object, str]:
    try:
        return create_one(cluster, TASK, document, dry_run), "created"
    except AlreadyExistsError:
        name = document.value["metadata"]["name"]
        stored = cluster.get(TASK, name)
        if _same_spec(cluster, document, stored):
            return stored, "unchanged"
        raise InputError(
            f"task {name!r} exists with another spec and cannot be changed: choose another name"
        ) from None


def _same_spec(cluster: Cluster, document: Document, stored: Object) -> bool:
    """Compare with what the API server would make of the document: only it knows its defaults."""
    trial = copy.deepcopy(document.value)
    trial["metadata"] = {"generateName": "trial-"}
    wanted = cluster.create(TASK, trial, dry_run=True)["spec"]
    return {**wanted, "cancel": None} == {**stored["spec"], "cancel": None}


def _follow(cluster: Cluster, created: Sequence[Object], sending: Sending) -> None:
    """Wait for the ends of Tasks and print their results."""
    style, color = sending.printing.output, sending.color
    names = [item["metadata"]["name"] for item in created]
    finished = wait_for(cluster, names, is_finished, timeout=sending.seconds, color=color)
    if style is not Format.NAME:
        finished = [with_result(cluster, item) for item in finished]
    _print_results(finished, style)
    error = outcome_of(finished)
    if error is not None:
        raise error


def _print_results(tasks: Sequence[Object], style: Format) -> None:
    """Print the one result, or a line per Task; with `-o name` only names."""
    if style is Format.NAME:
        for task in tasks:
            emit(full_name({"kind": TASK.kind, **task}))
        return
    if len(tasks) == 1:
        shown = [task["status"]["result"] for task in tasks if "result" in task["status"]]
    else:
        shown = [
            {
                "name": task["metadata"]["name"],
                "phase": phase_of(task).value,
                "result": task["status"].get("result"),
            }
            for task in tasks
        ]
    for value in shown:
        if style is Format.YAML:
            emit(f"---\n{to_yaml(value)}")
        else:
            emit(to_json(value, compact=len(tasks) > 1))
