"""What the gateway calls: the use cases about agents. Each refuses by raising ProtocolError."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from agentcorps.api.protocol import (
        CompleteRequest,
        Directives,
        FailRequest,
        GoodbyeRequest,
        HeartbeatRequest,
        HelloRequest,
        HelloResponse,
        NextRequest,
        NextResponse,
        ProgressRequest,
        TaskRef,
    )
    from agentcorps.ports import PodIdentity


class Sessions(Protocol):
    """Signs of life, and work for those who ask for it."""

    async def hello(self, identity: PodIdentity, body: HelloRequest) -> HelloResponse:
        """Open or renew the session of a process."""

    async def next(self, identity: PodIdentity, body: NextRequest) -> NextResponse | None:
        """Hold a poll until there is something to say; None is answered 204.

        It is cancelled when the connection is gone, and then takes back what it offered.
        """

    async def heartbeat(self, identity: PodIdentity, body: HeartbeatRequest) -> Directives:
        """Take a sign of life."""


class Reports(Protocol):
    """What agents tell of their attempts."""

    async def progress(
        self, identity: PodIdentity, ref: TaskRef, body: ProgressRequest
    ) -> Directives:
        """Take note of how far an attempt is."""

    async def complete(
        self, identity: PodIdentity, ref: TaskRef, body: CompleteRequest
    ) -> Directives:
        """Finish a Task; returns only after the terminal write succeeded."""

    async def fail(self, identity: PodIdentity, ref: TaskRef, body: FailRequest) -> Directives:
        """Fail an attempt; returns only after the write succeeded."""


class Goodbyes(Protocol):
    """How processes leave."""

    async def goodbye(self, identity: PodIdentity, body: GoodbyeRequest) -> None:
        """Close the session; what still ran goes back to the queue."""


class AgentCalls(NamedTuple):
    """Who answers the calls of agents."""

    sessions: Sessions
    reports: Reports
    goodbyes: Goodbyes
