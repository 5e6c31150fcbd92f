"""Requests to the API server: JSON over pooled connections, errors as ``ports`` knows them."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import orjson

from agentcorps.adapters.credentials import CredentialsError
from agentcorps.adapters.problems import error_of
from agentcorps.ports import Refused, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    Answered = Callable[[str, int | None], None]

    from agentcorps.adapters.clock import ServerClock
    from agentcorps.adapters.credentials import Access, AccessSource

JSON = "application/json"
_CONNECT_SECONDS = 10.0
_UNAUTHORIZED = 401
_UNPROCESSABLE = 422
_FAILED = 400
_NETWORK_ERRORS = (aiohttp.ClientError, TimeoutError, OSError)


class ApiConnection:
    """Pooled connections to one API server: one pool for requests, one for watches.

    Use it as an async context manager, inside the event loop that it will serve.
    """

    def __init__(
        self,
        source: AccessSource,
        clock: ServerClock,
        *,
        limit: int = 64,
        answered: Answered | None = None,
    ) -> None:
        """Prepare a connection; nothing is opened yet.

        Args:
            source: Where the API server is, and as whom to talk to it.
            clock: Learns the server's wall clock from its answers.
            limit: Requests at a time; more of them wait for their turn.
            answered: Told the method (or ``WATCH``) and the status code of each answer; None when
                there was no answer.
        """
        self._source = source
        self._clock = clock
        self._limit = limit
        self._answered = answered or _nobody
        self._requests: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._requests = _session(self._limit)
        self._watches = _session(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        for session in (self._requests, self._watches):
            if session is not None:
                await session.close()
        # Aborted transports close their sockets in the loop's next turn.
        await asyncio.sleep(0)

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = 10.0,  # noqa: ASYNC109 - a bound in seconds that aiohttp also needs to know
    ) -> Any:
        """Send one request and decode its answer.

        Args:
            method: HTTP method.
            path: Path below the server's URL, such as ``/api/v1/namespaces``.
            params: Query parameters.
            body: What to send as JSON; None sends nothing.
            content_type: Media type of the body (a patch has its own).
            accept: Media type of the answer.
            timeout: Longest time in seconds, waiting for a free connection included.

        Raises:
            ClusterError: As ``ports`` describes; never with anything of the body in its message.
        """
        headers = {"Accept": accept}
        data = None
        if body is not None:
            data = _encode(body)
            headers["Content-Type"] = content_type
        what = f"{method} {path}"
        try:
            async with asyncio.timeout(timeout):
                status, answer_headers, text = await self._exchange(
                    method, path, params=params, data=data, headers=headers
                )
        except _NETWORK_ERRORS as error:
            self._answered(method, None)
            raise Unavailable(f"{what}: {_describe(error, timeout)}") from error
        self._answered(method, status)
        if status >= _FAILED:
            raise error_of(what, status, answer_headers, text)
        return _decode(what, text)

    async def _exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        data: bytes | None,
        headers: dict[str, str],
    ) -> tuple[int, Mapping[str, str], bytes]:
        session = _opened(self._requests)
        again = True
        while True:
            access = self._source.access()
            sent = self._clock.now().monotonic
            async with session.request(
                method,
                access.base_url + path,
                params=params,
                data=data,
                **_transport(access, headers),
            ) as answer:
                text = await answer.read()
                self._clock.observe(answer.headers.get("Date"), sent)
                if answer.status != _UNAUTHORIZED or not again or not await self._renewed(access):
                    return answer.status, answer.headers, text
            again = False

    async def _renewed(self, refused: Access) -> bool:
        """Whether there are newer credentials to repeat the refused request with."""
        try:
            return await self._source.refresh(refused)
        except CredentialsError:
            return False

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str],
        timeout: float,  # noqa: ASYNC109 - see request
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch and yield its lines.

        Args:
            path: Path below the server's URL.
            params: Query parameters, ``watch`` among them.
            timeout: Seconds after which the stream is given up however it stands.

        Raises:
            ClusterError: It could not be opened, or it broke off.
        """
        session = _opened(self._watches)
        access = self._source.access()
        what, code = f"WATCH {path}", None
        try:
            async with (
                asyncio.timeout(timeout),
                session.get(
                    access.base_url + path, params=params, **_transport(access, {"Accept": JSON})
                ) as answer,
            ):
                code = answer.status
                self._answered("WATCH", code)
                if answer.status >= _FAILED:
                    if answer.status == _UNAUTHORIZED:
                        await self._renewed(access)
                    raise error_of(what, answer.status, answer.headers, await answer.read())
                try:
                    yield split_lines(answer.content.iter_any())
                finally:
                    _abandon(answer)
        except _NETWORK_ERRORS as error:
            if code is None:
                self._answered("WATCH", None)
            raise Unavailable(f"{what}: {_describe(error, timeout)}") from error


def _nobody(_method: str, _status: int | None) -> None:
    """Tell nobody."""


async def split_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Cut a stream into its non-empty lines, however long (a stream reader's own have a limit)."""
    pieces: list[bytes] = []
    async for chunk in chunks:
        first, *others = chunk.split(b"\n")
        pieces.append(first)
        for following in others:
            line = b"".join(pieces)
            pieces = [following]
            if line:
                yield line


def _session(limit: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        # The API server would compress large answers: CPU on both sides for a network that is near.
        headers={"Accept-Encoding": "identity", "User-Agent": "agentcorps-operator"},
        auto_decompress=True,
    )


def _abandon(answer: aiohttp.ClientResponse) -> None:
    """Drop an answer's connection at once; TLS would wait for the farewell of a silent peer."""
    if answer.connection is not None and answer.connection.protocol is not None:
        answer.connection.protocol.abort()


def _opened(session: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if session is None:
        raise RuntimeError("ApiConnection is used outside of its `async with`")
    return session


def _transport(access: Access, headers: dict[str, str]) -> dict[str, Any]:
    if access.authorization is not None:
        headers = headers | {"Authorization": access.authorization}
    return {
        "headers": headers,
        "ssl": access.tls,
        "server_hostname": access.server_hostname,
        "proxy": access.proxy,
        "allow_redirects": False,
    }


def _encode(body: Any) -> bytes:
    """JSON for the wire; results may hold numbers and strings that the fast encoder refuses."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return _encode_slowly(body)


def _encode_slowly(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused(
            _UNPROCESSABLE, "Unencodable", "the object cannot be written as JSON"
        ) from error


def _decode(what: str, text: bytes) -> Any:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise Unavailable(f"{what}: the answer is not JSON") from error


def _describe(error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    return re.sub(r"\s+", " ", f"{type(error).__name__}: {error}")
