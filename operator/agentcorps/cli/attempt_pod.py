"""In which container of which pod an attempt ran, and whether its log can still be there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from agentcorps.cli.errors import InputError, NotFoundError, WaitTimeoutError
from agentcorps.cli.model import phase_of, status_of

if TYPE_CHECKING:
    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object

_LOST = "and its log with it; a log collector of the cluster, if there is one, may have kept it"


@dataclass(frozen=True, slots=True)
class Ran:
    """One attempt of a Task, as its status tells it."""

    number: int
    agent: str
    pod_uid: str
    """Empty for an attempt before the last one."""
    started: datetime


@dataclass(frozen=True, slots=True)
class Source:
    """Where a log is read."""

    pod: str
    container: str
    previous: bool


def attempt_of(task: Object, number: int | None) -> Ran:
    """Return the attempt of a number, or the current or last one.

    Raises:
        WaitTimeoutError: It has not begun.
        NotFoundError: It is older than those that the status keeps.
        InputError: The status does not tell when it began.
    """
    status, name = status_of(task), task["metadata"]["name"]
    last = status.get("attempt", 0)
    number = last if number is None else number
    if number > last or not last:
        phase = phase_of(task)
        what = (
            f"has not been run: it is {phase}" if not last else f"is {phase} after attempt {last}"
        )
        hint = "" if phase.is_terminal else f"; wait with -f, or ask `agentcorps task why {name}`"
        raise WaitTimeoutError(f"task {name!r} {what}{hint}")
    if number == last:
        return _ran({**status, "attempt": last}, status.get("podUID", ""))
    for ended in status.get("attempts") or ():
        if ended["attempt"] == number:
            return _ran(ended, "")
    raise NotFoundError(
        f"task {name!r} keeps no attempt {number}: `agentcorps task why {name}` lists what it keeps"
    )


def source_of(
    cluster: Cluster, ran: Ran, *, container: str | None, previous: bool | None
) -> Source:
    """Find the container in which an attempt ran.

    Args:
        cluster: Where the Task is.
        ran: The attempt.
        container: Name of the container; by default the pod's first.
        previous: Whether to read the container before its last restart; by default as the times
            say.

    Raises:
        NotFoundError: The pod is gone, or the container has been restarted too often since.
        InputError: The pod has no such container.
    """
    where = f"attempt {ran.number} ran on agent {ran.agent}"
    try:
        pod = cluster.read(f"/api/v1/namespaces/{cluster.namespace}/pods/{ran.agent}")
    except NotFoundError as error:
        raise NotFoundError(f"{where}, whose pod is gone, {_LOST}") from error
    if not _is_its_pod(pod, ran):
        raise NotFoundError(f"{where}, whose pod has been replaced since, {_LOST}")
    names = [one["name"] for one in pod["spec"]["containers"]]
    name = names[0] if container is None else container
    if name not in names:
        raise InputError(f"pod {ran.agent} has no container {name!r}: it has {', '.join(names)}")
    if previous is None:
        previous = _before_restart(pod, name, ran, where)
    return Source(ran.agent, name, previous)


def _ran(told: Object, pod_uid: str) -> Ran:
    try:
        started = datetime.fromisoformat(told["startedAt"])
    except (KeyError, ValueError):
        raise InputError(
            f"the log of attempt {told['attempt']} cannot be found: its startedAt in the status of"
            " the Task is no time"
        ) from None
    return Ran(told["attempt"], told.get("agentName", ""), pod_uid, started)


def _is_its_pod(pod: Object, ran: Ran) -> bool:
    if ran.pod_uid:
        return bool(pod["metadata"]["uid"] == ran.pod_uid)
    # A pod of the same name that came after the attempt began is another one.
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) <= ran.started


def _before_restart(pod: Object, container: str, ran: Ran, where: str) -> bool:
    """Whether the container has been restarted since the attempt began.

    Raises:
        NotFoundError: More than once, so that its log is no longer kept.
    """
    statuses = status_of(pod).get("containerStatuses") or ()
    status: Object = next((one for one in statuses if one["name"] == container), {})
    now, before = status.get("state") or {}, status.get("lastState") or {}
    if not _began_after(now, ran.started) and "waiting" not in now:
        return False
    if _began_after(before, ran.started):
        raise NotFoundError(
            f"{where}, whose container {container!r} was restarted more than once since, {_LOST}"
        )
    return bool(before)


def _began_after(state: Object, moment: datetime) -> bool:
    began = (state.get("running") or state.get("terminated") or {}).get("startedAt")
    return began is not None and datetime.fromisoformat(began) > moment
