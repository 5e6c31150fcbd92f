"""`agentcorps task retry`: runs what a Task asked for once more, as a Task of its own."""

import re
from dataclasses import dataclass
from typing import Annotated, Final

import typer

from agentcorps.api.kinds import TASK
from agentcorps.api.meta import ANNOTATION_RETRY_OF, LABEL_MANAGED_BY
from agentcorps.cli.connection import connect
from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import Document
from agentcorps.cli.model import Object, is_finished, phase_of
from agentcorps.cli.names import TaskNames
from agentcorps.cli.options import Connection, Creation, Printing, ResultTo, Waiting, command
from agentcorps.cli.output import bare_name
from agentcorps.cli.payloads import check_result_to
from agentcorps.cli.submission import Sending, send

EPILOG = """  agentcorps task retry report-1
  agentcorps task retry report-1 --name report-1-again --wait
  agentcorps task retry $(agentcorps task get --phase Failed -o name)"""

_SUFFIX: Final = re.compile(r"-retry-[a-z0-9]{5}$")
_TRACKERS: Final = (LABEL_MANAGED_BY, "app.kubernetes.io/instance")
_TRACKER_GROUPS: Final = ("argocd.argoproj.io/", "kustomize.toolkit.fluxcd.io/")
"""Labels by which tools find what they own: they would take the copy for theirs, and remove it."""


@dataclass(frozen=True, slots=True)
class New:
    """What the new Task does not take over from the old one."""

    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NEW", help="Name of the one new Task; made up by default."),
    ] = None
    result_to: ResultTo = None


def register(app: typer.Typer) -> None:
    """Add the command to its noun."""
    command(app, "retry", epilog=EPILOG)(retry)


def retry(
    names: TaskNames,
    *,
    new: New,
    force: Annotated[
        bool, typer.Option("--force", help="Also Tasks that still wait or run, which go on.")
    ] = False,
    waiting: Waiting,
    creation: Creation,
    connection: Connection,
    printing: Printing,
) -> None:
    """Create new Tasks with the spec and labels of old ones, to be executed once more.

    A Task never leaves its end, so this makes another one; its annotation agentcorps.dev/retry-of
    names the old. Where a Secret has the old one's result, name another one with --result-to. With
    --wait the results are printed, and exit codes are those of submit.
    """
    sending = Sending.of(waiting, creation, printing, connection)
    if new.name is not None and len(names) > 1:
        raise InputError(f"--name fits one Task, not {len(names)}")
    check_result_to(new.result_to, len(names))
    if new.name is not None and new.name == bare_name(names[0]):
        raise InputError("--name is that of the Task itself, which keeps its end: choose another")
    with connect(connection) as cluster:
        olds = [cluster.get(TASK, bare_name(each)) for each in names]
        send(cluster, [again(old, new, force=force) for old in olds], sending)


def again(old: Object, new: New, *, force: bool) -> Document:
    """Return a new Task that asks for what an old one asked for.

    Raises:
        InputError: The old one has not ended, and is not to be doubled by `force`.
    """
    metadata = old["metadata"]
    if not (force or is_finished(old)):
        raise InputError(
            f"task {metadata['name']!r} is still {phase_of(old)}: wait for its end or cancel it, or"
            " have a second one beside it with --force"
        )
    annotations = metadata.get("annotations") or {}
    root = metadata["name"]
    if ANNOTATION_RETRY_OF in annotations:
        root = _SUFFIX.sub("", root)
    named = {"name": new.name} if new.name is not None else {"generateName": f"{root}-retry-"}
    labels = {
        key: value
        for key, value in (metadata.get("labels") or {}).items()
        if key not in _TRACKERS and not key.startswith(_TRACKER_GROUPS)
    }
    spec = {key: each for key, each in old["spec"].items() if key != "cancel"}
    if new.result_to is not None:
        spec["resultTo"] = {"secret": {"name": new.result_to}}
    value = {
        "apiVersion": TASK.api_version,
        "kind": TASK.kind,
        "metadata": {
            **named,
            **({"labels": labels} if labels else {}),
            "annotations": {ANNOTATION_RETRY_OF: metadata["name"]},
        },
        "spec": spec,
    }
    return Document(value, f"task {metadata['name']!r}")
