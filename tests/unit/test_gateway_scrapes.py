"""Who may read the metrics page over HTTP, and who is told what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer

from agentcorps.gateway.limits import BAD_TOKENS_AT_ONCE
from agentcorps.gateway.scrapes import build_scrapes
from agentcorps.ports import Admission, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

    Client = TestClient[web.Request, web.Application]


class Scrapers:
    """Knows two accounts."""

    async def admit(self, token: str) -> Admission:
        """See ports.Scrapers."""
        if token == "outage":
            raise Unavailable("no answer within 10 s")
        known = {"reader": Admission.GRANTED, "stranger": Admission.FORBIDDEN}
        return known.get(token, Admission.UNKNOWN)


class Page:
    """A page that repeats what is accepted."""

    async def expose(self, accept: str) -> tuple[bytes, str]:
        """See ports.Exposition."""
        return f"accepts {accept}\n".encode(), "text/plain; version=0.0.4; charset=utf-8"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Return a client of the application."""
    async with TestClient(TestServer(build_scrapes(Scrapers(), Page()))) as made:
        yield made


async def get(client: Client, authorization: str, path: str = "/metrics") -> tuple[int, str]:
    """Return status and text."""
    headers = {"Authorization": authorization, "Accept": "text/plain"} if authorization else {}
    answer = await client.get(path, headers=headers)
    return answer.status, await answer.text()


async def test_a_reader_gets_the_page(client: Client) -> None:
    """With a token of somebody who may: 200, in the format that was asked for."""
    assert await get(client, "Bearer reader") == (200, "accepts text/plain\n")
    answer = await client.get("/metrics", headers={"Authorization": "Bearer reader"})
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("authorization", ["", "Basic reader", "Bearer ", "Bearer nobody"])
async def test_without_a_good_token_401(client: Client, authorization: str) -> None:
    """No token, another scheme, an unknown one: 401, the scheme to use, and no metric."""
    answer = await client.get("/metrics", headers={"Authorization": authorization})
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert "accepts" not in await answer.text()


async def test_without_the_right_403(client: Client) -> None:
    """A known account that may not is told which role it lacks."""
    status, told = await get(client, "Bearer stranger")
    assert status == 403
    assert "agentcorps-metrics-reader" in told


async def test_when_the_api_server_cannot_say_503(client: Client) -> None:
    """An outage is no refusal, and no admission either."""
    status, told = await get(client, "Bearer outage")
    assert (status, "try again" in told) == (503, True)


async def test_guesses_are_bounded(client: Client) -> None:
    """Too many bad tokens of one address: 429, before the API server is asked again.

    A few more than those at once pass while time does.
    """
    allowed = int(BAD_TOKENS_AT_ONCE)
    answers = [(await get(client, "Bearer nobody"))[0] for _ in range(2 * allowed)]
    assert set(answers[:allowed]) == {401}
    assert 429 in answers[allowed:]


async def test_nothing_else_is_served(client: Client) -> None:
    """Other paths are 404, other methods 405."""
    assert (await get(client, "Bearer reader", "/"))[0] == 404
    assert (await client.post("/metrics")).status == 405
