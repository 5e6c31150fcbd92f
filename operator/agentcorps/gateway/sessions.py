"""What the gateway calls: the sessions of the agents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
    """The use case behind the routes. Every call refuses by raising ProtocolError."""

    async def hello(self, identity: PodIdentity, body: HelloRequest) -> HelloResponse:
        """Open or renew the session of a process."""

    async def next(self, identity: PodIdentity, body: NextRequest) -> NextResponse | None:
        """Hold a poll until there is something to say; None is answered 204.

        It is cancelled when the connection is gone, and then takes back what it offered.
        """

    async def heartbeat(self, identity: PodIdentity, body: HeartbeatRequest) -> Directives:
        """Take a sign of life."""

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

    async def goodbye(self, identity: PodIdentity, body: GoodbyeRequest) -> None:
        """Close the session; what still ran goes back to the queue."""
