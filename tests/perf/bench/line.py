"""HTTP/1.1 over one kept connection, one request at a time: what a thousand agents can afford.

The agents share two cores with what is measured; a full HTTP client would cost as much as the
operator. This one knows what the gateway sends: a status, a Content-Length, a body.
"""

import asyncio
import re
import ssl
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_STATUS = slice(9, 12)


class Line(asyncio.Protocol):
    """A connection. ``post`` raises ConnectionError when it is lost; make another one then."""

    def __init__(self) -> None:
        """Prepare; ``dial`` connects."""
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""

    @classmethod
    async def dial(cls, host: str, port: int, tls: ssl.SSLContext) -> "Line":
        """Connect.

        Raises:
            OSError: Nobody is there, or it is not whom the context trusts.
        """
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(cls, host, port, ssl=tls)
        return line

    async def post(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body of its answer.

        Args:
            head: Request line and headers, each with its line end, without Content-Length.
            body: What follows.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        return await self._answer

    def hang_up(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # uvloop's is one in all but its bases.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Take what came; an answer that is whole goes to who waits."""
        self._received += data
        end = self._received.find(_HEAD_END)
        if end < 0:
            return
        found = _LENGTH.search(self._received, 0, end)
        whole = end + len(_HEAD_END) + (int(found[1]) if found else 0)
        if len(self._received) < whole:
            return
        status, body = int(self._received[_STATUS]), self._received[end + len(_HEAD_END) : whole]
        self._received = self._received[whole:]
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(str(exc or "closed")))
