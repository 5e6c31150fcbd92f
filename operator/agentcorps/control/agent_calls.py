"""Everything that the gateway calls, in one object."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from agentcorps.control.agent_reports import AgentReports
    from agentcorps.control.agent_sessions import AgentSessions
    from agentcorps.control.goodbyes import Goodbyes
    from agentcorps.ports import PodIdentity


class AgentCalls:
    """The sessions and the reports of agents behind the gateway's routes."""

    def __init__(self, sessions: AgentSessions, reports: AgentReports, goodbyes: Goodbyes) -> None:
        self._sessions = sessions
        self._reports = reports
        self._goodbyes = goodbyes

    async def hello(self, identity: PodIdentity, body: HelloRequest) -> HelloResponse:
        """See AgentSessions.hello."""
        return await self._sessions.hello(identity, body)

    async def next(self, identity: PodIdentity, body: NextRequest) -> NextResponse | None:
        """See AgentSessions.next."""
        return await self._sessions.next(identity, body)

    async def heartbeat(self, identity: PodIdentity, body: HeartbeatRequest) -> Directives:
        """See AgentSessions.heartbeat."""
        return await self._sessions.heartbeat(identity, body)

    async def progress(
        self, identity: PodIdentity, ref: TaskRef, body: ProgressRequest
    ) -> Directives:
        """See AgentReports.progress."""
        return await self._reports.progress(identity, ref, body)

    async def complete(
        self, identity: PodIdentity, ref: TaskRef, body: CompleteRequest
    ) -> Directives:
        """See AgentReports.complete."""
        return await self._reports.complete(identity, ref, body)

    async def fail(self, identity: PodIdentity, ref: TaskRef, body: FailRequest) -> Directives:
        """See AgentReports.fail."""
        return await self._reports.fail(identity, ref, body)

    async def goodbye(self, identity: PodIdentity, body: GoodbyeRequest) -> None:
        """See Goodbyes.goodbye."""
        await self._goodbyes.goodbye(identity, body)
