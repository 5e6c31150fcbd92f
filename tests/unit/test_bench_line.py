"""The lean HTTP connection of the benchmark's agents."""

import asyncio
from typing import cast
from unittest.mock import Mock

import pytest

from perf.bench.line import Line
from perf.bench.plane import leftovers

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n{"a"'


def connected() -> tuple[Line, Mock]:
    """Return a line and the transport that it believes to write to."""
    transport = Mock(is_closing=lambda: False)
    line = Line()
    line.connection_made(cast("asyncio.Transport", transport))
    return line, transport


async def test_an_answer_may_come_in_pieces() -> None:
    """Status and body are those that were sent, however the network cuts them."""
    line, transport = connected()
    asking = asyncio.ensure_future(line.post(b"POST /x HTTP/1.1\r\nHost: h\r\n", b"{}"))
    await asyncio.sleep(0)
    for index in range(len(ANSWER)):
        assert not asking.done()
        line.data_received(ANSWER[index : index + 1])
    assert await asking == (200, b'{"a"')
    transport.write.assert_called_once_with(
        b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
    )


async def test_an_answer_without_a_body_is_whole() -> None:
    """A 204 has no length, and the connection serves the next request."""
    line, _ = connected()
    for _ in range(2):
        asking = asyncio.ensure_future(line.post(b"", b""))
        await asyncio.sleep(0)
        line.data_received(b"HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n")
        assert await asking == (204, b"")


async def test_a_lost_connection_is_an_error() -> None:
    """Who waits for an answer hears that the connection is gone."""
    line, _ = connected()
    asking = asyncio.ensure_future(line.post(b"", b""))
    await asyncio.sleep(0)
    line.connection_lost(None)
    with pytest.raises(ConnectionError):
        await asking


async def test_a_closed_connection_takes_nothing() -> None:
    """A request on a connection that is closed fails at once."""
    line, transport = connected()
    transport.is_closing = lambda: True
    with pytest.raises(ConnectionError):
        await line.post(b"", b"")


def test_only_clusters_of_dead_runs_are_leftovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a living run or anybody else started is left alone."""
    found = ["agentcorps", "bench-1-1", "bench-2-6", "bench-x-1"]
    monkeypatch.setattr("perf.bench.plane.names", lambda _: found)
    assert leftovers(alive=lambda pid: pid == 1) == ["bench-2-6"]
