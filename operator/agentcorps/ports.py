"""What the use cases need from the outside world; ``adapters`` and ``control`` implement it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentcorps.api.protocol import TaskDelivery
    from agentcorps.core.records import Key, Now, TaskRecord

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


class Kind(Enum):
    """The kinds that the use cases read or write: (API path, plural, apiVersion, kind)."""

    TASK = ("/apis/agentcorps.dev/v1alpha1", "tasks", "agentcorps.dev/v1alpha1", "Task")
    AGENT = ("/apis/agentcorps.dev/v1alpha1", "agents", "agentcorps.dev/v1alpha1", "Agent")
    POOL = ("/apis/agentcorps.dev/v1alpha1", "agentpools", "agentcorps.dev/v1alpha1", "AgentPool")
    POD = ("/api/v1", "pods", "v1", "Pod")
    SECRET = ("/api/v1", "secrets", "v1", "Secret")
    CONFIG_MAP = ("/api/v1", "configmaps", "v1", "ConfigMap")
    QUOTA = ("/api/v1", "resourcequotas", "v1", "ResourceQuota")

    @property
    def path(self) -> str:
        """Path of the group and version, such as ``/api/v1``."""
        return self.value[0]

    @property
    def plural(self) -> str:
        """Plural name, as it stands in the path."""
        return self.value[1]

    @property
    def api_version(self) -> str:
        """``apiVersion`` of an object."""
        return self.value[2]

    @property
    def kind(self) -> str:
        """``kind`` of an object."""
        return self.value[3]


class ClusterError(Exception):
    """A request to the API server did not succeed."""


class NotFound(ClusterError):
    """404: the object is gone (or has another UID than the precondition says)."""


class Conflict(ClusterError):
    """409: somebody wrote in between, or the name is taken. Read, then decide anew."""


class Refused(ClusterError):
    """4xx: the API server will not do this (quota, admission, validation)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        """Keep the API server's status code, reason and message."""
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Unavailable(ClusterError):
    """5xx, 429, timeout or no connection: a write may have happened. Read first."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        """Keep the Retry-After of the answer in seconds, if there was one."""
        super().__init__(message)
        self.retry_after = retry_after


class Cluster(Protocol):
    """Reads and writes of single objects. Calls raise only ClusterError, and end in time."""

    async def get(self, kind: Kind, key: Key) -> Object:
        """Read an object fresh from the API server."""

    async def create(self, kind: Kind, namespace: str, body: Object) -> Object:
        """Create an object; Conflict when the name is taken."""

    async def replace(self, kind: Kind, key: Key, body: Object) -> Object:
        """Replace an object; Conflict unless it still has the body's resourceVersion."""

    async def replace_status(
        self, kind: Kind, key: Key, resource_version: int, status: Mapping[str, Any]
    ) -> Object:
        """Replace the status alone, fenced by resourceVersion; returns what is stored."""

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str,
        resource_version: int | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete with preconditions; NotFound when it is gone, Conflict when one fails."""


class Lister(Protocol):
    """Consistent lists of whole kinds."""

    async def list_objects(
        self, kind: Kind, namespaces: Sequence[str], *, metadata_only: bool = False
    ) -> tuple[list[Object], int]:
        """All objects of a kind, everywhere if no namespace is named, and the list's version."""


@dataclass(frozen=True, slots=True)
class Note:
    """One Event for people: what happened to which object and why. Never a payload."""

    kind: Kind
    key: Key
    uid: str
    reason: str
    """CamelCase, such as ``Bound``."""
    action: str
    """What was done, such as ``Assign``."""
    message: str
    warning: bool = False
    related: Key | None = None
    """The agent involved, if any."""


class MetricError(Exception):
    """A metric could not be had; the message says why, for people, and holds nothing secret."""


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """Where a Prometheus server is, and how the two sides prove themselves."""

    address: str
    """URL without the path of the API."""
    token: str = field(default="", repr=False)
    """Bearer token; empty: none is sent."""
    authority: str = field(default="", repr=False)
    """Certificates that are trusted, as PEM; empty: those that the system trusts."""
    server_name: str = ""
    """Name in its certificate; empty: that of the address."""


class Prometheus(Protocol):
    """Asks Prometheus servers."""

    async def query(self, server: PrometheusServer, query: str) -> float:
        """The one number that an expression has now; raises MetricError where there is none."""


class ExternalMetrics(Protocol):
    """Asks the API server for metrics of external.metrics.k8s.io."""

    async def total(self, namespace: str, metric: str, selector: str) -> float:
        """The sum over all series that a label selector matches; raises MetricError."""


class EventSink(Protocol):
    """Takes Events without blocking; they may be dropped under pressure."""

    def emit(self, note: Note) -> None:
        """Publish a note soon."""


class Meter(Protocol):
    """Takes note of what happens, for those who measure. Cheap, and never blocks or raises."""

    def task_written(
        self, before: TaskRecord, after: TaskRecord, phase_seconds: float, write_seconds: float
    ) -> None:
        """A status of a Task was stored.

        Args:
            before: The Task until then.
            after: The Task since.
            phase_seconds: How long it had waited (Queued) or run (Running).
            write_seconds: From the decision to the answer of the API server.
        """

    def bind_conflict(self) -> None:
        """A binding was refused, because somebody else had written the Task."""

    def task_deleted(self, task: TaskRecord, reason: str) -> None:
        """A finished Task was deleted."""

    def agent_lost(self, pool: Key, reason: str) -> None:
        """An agent is not there any more, or no good, though it should be."""

    def pool_scaled(self, pool: Key, before: int, after: int, reason: str) -> None:
        """A pool that scales itself has another target."""


class Unmetered:
    """A Meter that takes note of nothing."""

    def task_written(
        self, before: TaskRecord, after: TaskRecord, phase_seconds: float, write_seconds: float
    ) -> None:
        """See Meter."""

    def bind_conflict(self) -> None:
        """See Meter."""

    def task_deleted(self, task: TaskRecord, reason: str) -> None:
        """See Meter."""

    def agent_lost(self, pool: Key, reason: str) -> None:
        """See Meter."""

    def pool_scaled(self, pool: Key, before: int, after: int, reason: str) -> None:
        """See Meter."""


UNMETERED: Final = Unmetered()


class Clock(Protocol):
    """Both clocks."""

    def now(self) -> Now:
        """This instant; the wall time is the API server's."""


class Delivery(Protocol):
    """Hands bound tasks to the agents' open polls."""

    def deliver(self, agent: Key, instance: str, task: TaskDelivery) -> None:
        """Answer the agent's poll with a task whose binding is written."""

    def wake(self, agent: Key) -> None:
        """Answer the agent's poll now: there is something to cancel, drop or drain."""


class Identities(Protocol):
    """Tells which pod a token speaks for."""

    def known(self, token: str) -> PodIdentity | None:
        """The pod of a token that was found to be good before, without asking anybody."""

    async def identify(self, token: str) -> PodIdentity | None:
        """The pod that the token is bound to; None for a foreign, expired or unknown token."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """A pod as its projected token proves it."""

    pod: Key
    pod_uid: str


class Admission(Enum):
    """Whether somebody may read the metrics."""

    GRANTED = auto()
    UNKNOWN = auto()
    """The token is nobody's."""
    FORBIDDEN = auto()
    """Its owner may not."""


class Scrapers(Protocol):
    """Tells who may read the metrics."""

    async def admit(self, token: str) -> Admission:
        """Judge the owner of a token; raises ClusterError where the API server cannot say."""


class Exposition(Protocol):
    """The metrics as they are now."""

    async def expose(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in a format that an Accept header wants, and its content type."""


class Leadership(Protocol):
    """Whether this process leads."""

    @property
    def leading(self) -> bool:
        """True while the last renewal is younger than the renew deadline."""

    @property
    def epoch(self) -> int:
        """LeaseTransitions of the Lease."""
