"""The route table: the server is built from it, and so is the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

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
    WireModel,
)
from agentcorps.gateway.parsing import parse_body, parse_ref

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agentcorps.gateway.calls import AgentCalls
    from agentcorps.ports import PodIdentity

    Answer = Awaitable[WireModel | None]
    Call = Callable[[AgentCalls, PodIdentity, Mapping[str, str], bytes], Answer]

Body = TypeVar("Body", bound=WireModel)

REPORT_PATH = "/v1/tasks/{uid}/{attempt}/"


@dataclass(frozen=True, slots=True)
class Route:
    """One call of the protocol."""

    operation: str
    """Its name, unique; operationId in the OpenAPI document."""
    path: str
    summary: str
    request: type[WireModel]
    response: type[WireModel] | None
    """Body of a 200; None if the call has none."""
    may_be_empty: bool
    """Whether it may be answered 204."""
    call: Call
    """Parses path and body, and calls the use case."""


def _session_route(
    path: str,
    method: Callable[[AgentCalls], Callable[[PodIdentity, Body], Awaitable[WireModel | None]]],
    request: type[Body],
    response: type[WireModel] | None,
    summary: str,
) -> Route:
    """A call about the agent as a whole."""

    async def call(
        calls: AgentCalls, identity: PodIdentity, _: Mapping[str, str], raw: bytes
    ) -> WireModel | None:
        return await method(calls)(identity, parse_body(request, raw))

    name = path.rsplit("/", 1)[-1]
    empty = response is None or response is NextResponse
    return Route(name, path, summary, request, response, empty, call)


def _report_route(
    name: str,
    method: Callable[[AgentCalls], Callable[[PodIdentity, TaskRef, Body], Awaitable[WireModel]]],
    request: type[Body],
    summary: str,
) -> Route:
    """A call about one attempt."""

    async def call(
        calls: AgentCalls, identity: PodIdentity, path: Mapping[str, str], raw: bytes
    ) -> WireModel | None:
        ref = parse_ref(path)
        return await method(calls)(identity, ref, parse_body(request, raw))

    return Route(name, REPORT_PATH + name, summary, request, Directives, False, call)  # noqa: FBT003


ROUTES: tuple[Route, ...] = (
    _session_route(
        "/v1/hello",
        lambda calls: calls.sessions.hello,
        HelloRequest,
        HelloResponse,
        "First call of a process, and again after every reconnect.",
    ),
    _session_route(
        "/v1/tasks/next",
        lambda calls: calls.sessions.next,
        NextRequest,
        NextResponse,
        "Long poll for work, one per agent; an open poll is the heartbeat.",
    ),
    _session_route(
        "/v1/heartbeat",
        lambda calls: calls.sessions.heartbeat,
        HeartbeatRequest,
        Directives,
        "Sign of life of an agent without an open poll.",
    ),
    _report_route(
        "progress",
        lambda calls: calls.reports.progress,
        ProgressRequest,
        "How far an attempt is; kept in memory and written seldom.",
    ),
    _report_route(
        "complete",
        lambda calls: calls.reports.complete,
        CompleteRequest,
        "The result of an attempt. 200 only after it is stored; send it again until then.",
    ),
    _report_route(
        "fail",
        lambda calls: calls.reports.fail,
        FailRequest,
        "An attempt that did not work out. Send it again until it is answered.",
    ),
    _session_route(
        "/v1/goodbye",
        lambda calls: calls.goodbyes.goodbye,
        GoodbyeRequest,
        None,
        "Last call of a process; what it still runs goes back to the queue.",
    ),
)
