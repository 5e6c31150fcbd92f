"""What one caller may ask: buckets and the crowd by themselves, then sockets that mean no good."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import hypothesis.strategies as st
import pytest
from hypothesis import given

from agentcorps.gateway.crowd import Crowd
from agentcorps.gateway.limits import BAD_TOKENS_AT_ONCE, CALLS_AT_ONCE
from agentcorps.gateway.rates import MOST_KEYS, Rates
from support.fake_gateway import TOKEN, FakeGateway, fake_gateway, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INSTANCE = "0123456789abcdef"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
HELLO = {"protocolVersion": 1, "instance": INSTANCE, "slots": 1}
SLOW_SOCKETS = 60
STRANGERS = 20
BODY_WITH_TOKEN = (
    f"POST /v1/hello HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    "Content-Length: 1000\r\n\r\n{"
).encode()


class Seconds:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


# Buckets


def test_a_bucket_gives_its_burst_and_then_says_how_long_to_wait() -> None:
    """Burst 3 at 2 a second: the fourth comes after half a second, not earlier."""
    clock = Seconds()
    rates: Rates[str] = Rates(2, 3, clock)
    assert [rates.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    clock.now += 0.49
    assert rates.take("a") == pytest.approx(0.01)
    clock.now += 0.02
    assert rates.take("a") == 0


def test_buckets_are_apart_and_a_gift_returns() -> None:
    """One caller's thirst does not empty another's bucket; what is given back counts again."""
    rates: Rates[str] = Rates(1, 1, Seconds())
    assert rates.take("a") == rates.take("b") == 0
    assert rates.take("a") > 0
    rates.give_back("a")
    assert rates.take("a") == 0


def test_a_flood_of_names_costs_no_memory() -> None:
    """At most so many buckets are kept, and a full one is none."""
    rates: Rates[int] = Rates(1, 5, Seconds())
    for name in range(MOST_KEYS + 100):
        rates.take(name)
    assert len(rates._buckets) == MOST_KEYS
    rates.give_back(MOST_KEYS + 99)
    assert len(rates._buckets) == MOST_KEYS - 1


@given(st.lists(st.floats(0, 10), max_size=60))
def test_never_more_than_burst_and_rate_allow(pauses: list[float]) -> None:
    """Over any time t at most burst + rate * t are given."""
    clock = Seconds()
    rates: Rates[str] = Rates(2, 5, clock)
    given_out = 0
    for pause in pauses:
        clock.now += pause
        given_out += rates.take("a") == 0
    assert given_out <= 5 + 2 * sum(pauses) + 1e-6


# The crowd


def test_the_stranger_who_waited_longest_has_to_go() -> None:
    """Two strangers at a time: the third makes the first one leave."""
    gone: list[str] = []
    crowd: Crowd[str] = Crowd(gone.append, strangers=2)
    for name in "abc":
        crowd.enter(name)
    assert gone == ["a"]
    assert len(crowd) == 2


def test_who_shows_a_token_is_no_stranger() -> None:
    """Recognised connections are counted with their pod, and stay however many strangers come."""
    gone: list[str] = []
    crowd: Crowd[str] = Crowd(gone.append, strangers=1, per_pod=2)
    for name in "abc":
        crowd.enter(name)
        crowd.recognise(name, "pod")
        crowd.recognise(name, "pod")
    crowd.enter("x")
    assert gone == ["a"]
    assert len(crowd) == 3
    for name in "abcx":
        crowd.leave(name)
    assert len(crowd) == 0
    assert not crowd._pods


# Over sockets


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway over TLS that knows the instance already."""
    async with fake_gateway() as one:
        one.sessions.instance = INSTANCE
        yield one


async def statuses(gateway: FakeGateway, token: str, calls: int) -> Counter[int]:
    """Say hello so many times; returns how often each status was answered."""
    found: Counter[int] = Counter()
    connector = aiohttp.TCPConnector(ssl=gateway.client_tls)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(gateway.url, connector=connector) as client:
        for _ in range(calls):
            async with client.post("/v1/hello", json=HELLO, headers=headers) as answer:
                found[answer.status] += 1
                if answer.status == 429:
                    assert int(answer.headers["Retry-After"]) >= 1
                    assert answer.content_type == "application/problem+json"
    return found


async def test_a_pod_that_calls_too_often_is_told_when_to_come_back(gateway: FakeGateway) -> None:
    """429 with Retry-After as problem details, and the calls before it were served."""
    found = await statuses(gateway, TOKEN, int(CALLS_AT_ONCE) * 2)
    assert set(found) == {200, 429}
    assert found[200] >= CALLS_AT_ONCE
    assert len(gateway.sessions.calls) == found[200]


async def test_a_flood_of_bad_tokens_is_not_one_of_reviews(gateway: FakeGateway) -> None:
    """After a burst nobody is asked about this address's tokens any more; a known one is served."""
    found = await statuses(gateway, "bad", int(BAD_TOKENS_AT_ONCE) * 2)
    assert set(found) == {401, 429}
    assert len(gateway.identities.asked) == found[401] < BAD_TOKENS_AT_ONCE * 2
    gateway.identities.remembered = True
    assert await statuses(gateway, TOKEN, 1) == {200: 1}


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/hello HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
    ],
    ids=["silent", "headers", "body"],
)
async def test_an_agent_is_served_while_many_sockets_dribble(sent: bytes) -> None:
    """Connections that never finish a request are bounded, and keep no good agent out."""
    async with fake_gateway(strangers=STRANGERS) as gateway, slow_sockets(gateway, sent) as slow:
        assert await statuses(gateway, TOKEN, 5) == {200: 5}
        await until(lambda: len(gateway.limits.crowd) <= STRANGERS + len(gateway.sessions.calls))
        turned_out = [reader for reader in slow if await ended(reader)]
        assert len(turned_out) >= SLOW_SOCKETS - STRANGERS - 1


async def test_bodies_that_dribble_end_with_their_time() -> None:
    """With a good token a body has its seconds; many of them at once delay nobody else."""
    async with (
        fake_gateway(body_seconds=0.2) as gateway,
        slow_sockets(gateway, BODY_WITH_TOKEN) as slow,
    ):
        assert await statuses(gateway, TOKEN, 5) == {200: 5}
        for reader in slow:
            assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")


@contextlib.asynccontextmanager
async def slow_sockets(
    gateway: FakeGateway, sent: bytes
) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Open connections that send something and then nothing more."""
    pairs = [
        await asyncio.open_connection("127.0.0.1", gateway.port, ssl=gateway.client_tls)
        for _ in range(SLOW_SOCKETS)
    ]
    try:
        for _, writer in pairs:
            with contextlib.suppress(OSError):
                writer.write(sent)
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.transport.abort()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Tell whether the other side has closed a connection."""
    try:
        async with asyncio.timeout(0.05):
            return not await reader.read(1)
    except TimeoutError:
        return False
    except OSError:
        return True
