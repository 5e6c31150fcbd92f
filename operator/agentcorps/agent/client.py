"""The calls of the protocol as methods: typed answers, or GatewayError."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Self, TypeVar

import aiohttp
from pydantic import ValidationError

from agentcorps.agent.errors import Refused, Unreachable
from agentcorps.api.protocol import Directives, HelloResponse, NextResponse, Problem, WireModel

if TYPE_CHECKING:
    from agentcorps.agent.settings import Settings
    from agentcorps.api.protocol import (
        CompleteRequest,
        FailRequest,
        GoodbyeRequest,
        HeartbeatRequest,
        HelloRequest,
        NextRequest,
        ProgressRequest,
        TaskRef,
    )

Answer = TypeVar("Answer", bound=WireModel)

CONNECT_SECONDS = 5.0
CALL_SECONDS = 15.0
"""For any call but a poll; a report is answered after a write to the API server."""
POLL_SLACK_SECONDS = 10.0
OK = 200
NO_CONTENT = 204


class GatewayClient:
    """Speaks to the gateway; use it as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self.answered = time.monotonic()
        """When (monotonic) the leader last answered; a refusal may come from another replica."""

    async def __aenter__(self) -> Self:
        context = ssl.create_default_context(cadata=self._settings.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            # A redirect or proxy would be given the token.
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def hello(self, body: HelloRequest) -> HelloResponse:
        """Introduce this process."""
        return await self._ask("/v1/hello", body, HelloResponse)

    async def next(self, body: NextRequest) -> NextResponse | None:
        """Poll for work; None when there was nothing to say."""
        raw = await self._post("/v1/tasks/next", body, body.wait + POLL_SLACK_SECONDS)
        return None if raw is None else _parse(NextResponse, raw)

    async def heartbeat(self, body: HeartbeatRequest) -> Directives:
        """Give a sign of life."""
        return await self._ask("/v1/heartbeat", body, Directives)

    async def progress(self, ref: TaskRef, body: ProgressRequest) -> Directives:
        """Tell how far an attempt is."""
        return await self._ask(_report(ref, "progress"), body, Directives)

    async def complete(self, ref: TaskRef, body: CompleteRequest) -> Directives:
        """Hand in a result."""
        return await self._ask(_report(ref, "complete"), body, Directives)

    async def fail(self, ref: TaskRef, body: FailRequest) -> Directives:
        """Hand in a failure."""
        return await self._ask(_report(ref, "fail"), body, Directives)

    async def goodbye(self, body: GoodbyeRequest) -> None:
        """End the session."""
        await self._post("/v1/goodbye", body, CALL_SECONDS)

    async def _ask(self, path: str, body: WireModel, answer: type[Answer]) -> Answer:
        raw = await self._post(path, body, CALL_SECONDS)
        if raw is None:
            raise Unreachable(f"{path} was answered without a body")
        return _parse(answer, raw)

    async def _post(self, path: str, body: WireModel, seconds: float) -> bytes | None:
        """Send a call; None for 204.

        Raises:
            Refused: The gateway answered with an error.
            Unreachable: There was no answer.
        """
        if self._session is None:
            raise RuntimeError("the client is not open")
        try:
            async with self._session.post(
                self._settings.gateway_url + path,
                data=body.model_dump_json(by_alias=True).encode(),
                headers=self._headers(),
                timeout=aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS),
                allow_redirects=False,
            ) as response:
                raw = await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{path}: {type(error).__name__}: {error}") from error
        if response.status not in {OK, NO_CONTENT}:
            raise _refusal(response, raw)
        self.answered = time.monotonic()
        return None if response.status == NO_CONTENT else raw

    def _headers(self) -> dict[str, str]:
        """Read the token for every call: the kubelet replaces it before it expires."""
        token = self._settings.token_file.read_text(encoding="ascii").strip()
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


def _report(ref: TaskRef, call: str) -> str:
    return f"/v1/tasks/{ref.uid}/{ref.attempt}/{call}"


def _parse(model: type[Answer], raw: bytes) -> Answer:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise Unreachable(f"the gateway's {model.__name__} is not understood") from error


def _refusal(response: aiohttp.ClientResponse, raw: bytes) -> Refused:
    """Read problem details, or make some up when another server answered."""
    try:
        problem = Problem.model_validate_json(raw)
    except ValidationError:
        problem = Problem(title=response.reason or "Error", status=response.status)
    try:
        retry_after = float(response.headers["Retry-After"])
    except (KeyError, ValueError):
        retry_after = None
    return Refused(response.status, problem.title, problem.detail, retry_after)
