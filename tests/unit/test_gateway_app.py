"""The gateway over TLS: each call reaches its session, each refusal is problem details."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest

from agentcorps.api.protocol import TaskRef
from agentcorps.control.refusals import ProtocolError
from agentcorps.gateway import build_app, serve
from agentcorps.gateway.app import MAX_BODY_BYTES
from agentcorps.gateway.probes import build_probes
from agentcorps.ports import PodIdentity, Unavailable
from support.fake_gateway import POD, TOKEN, FakeGateway, delivery, fake_gateway, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INSTANCE = "0123456789abcdef"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
HELLO = {"protocolVersion": 1, "instance": INSTANCE, "slots": 1}
SECRET = "correct-horse-battery-staple"


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """A gateway over TLS that knows the instance already."""
    async with fake_gateway() as one:
        one.sessions.instance = INSTANCE
        yield one


@pytest.fixture
async def client(gateway: FakeGateway) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that trusts the gateway and sends no token by itself."""
    connector = aiohttp.TCPConnector(ssl=gateway.client_tls)
    async with aiohttp.ClientSession(gateway.url, connector=connector) as session:
        yield session


async def problem(response: aiohttp.ClientResponse) -> tuple[int, str, str]:
    """Status, title and detail of a problem; asserts that it is one."""
    assert response.content_type == "application/problem+json"
    body = orjson.loads(await response.read())
    assert body["status"] == response.status
    assert body["type"] == "about:blank"
    return response.status, body["title"], body["detail"]


async def post(
    client: aiohttp.ClientSession, path: str, body: object, **headers: str
) -> tuple[int, str, str]:
    """Post with the good token and return the problem."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    async with client.post(path, data=data, headers={**AUTH, **headers}) as response:
        return await problem(response)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/hello", HELLO, 200),
        ("/v1/tasks/next", {"instance": INSTANCE, "free": 1, "wait": 0}, 204),
        ("/v1/heartbeat", {"instance": INSTANCE}, 200),
        ("/v1/tasks/uid-a/2/progress", {"instance": INSTANCE, "percent": 5}, 200),
        ("/v1/tasks/uid-a/2/complete", {"instance": INSTANCE, "result": [1]}, 200),
        ("/v1/tasks/uid-a/2/fail", {"instance": INSTANCE, "reason": "Oops"}, 200),
        ("/v1/goodbye", {"instance": INSTANCE}, 204),
    ],
)
async def test_each_call_reaches_its_session(
    gateway: FakeGateway,
    client: aiohttp.ClientSession,
    path: str,
    body: dict[str, Any],
    status: int,
) -> None:
    """A call arrives with the caller's identity, the attempt of its path and its parsed body."""
    async with client.post(path, json=body, headers=AUTH) as response:
        assert response.status == status
        answer = await response.read()
    call = gateway.sessions.calls[-1]
    assert call.name == path.rsplit("/", 1)[-1]
    assert call.identity == POD
    assert call.ref == (TaskRef(uid="uid-a", attempt=2) if "uid-a" in path else None)
    assert body.items() <= call.body.model_dump(by_alias=True).items()
    assert (status == 204) == (answer == b"")
    if answer:
        assert orjson.loads(answer)["epoch"] == 1


async def test_poll_is_answered_with_a_task(
    gateway: FakeGateway, client: aiohttp.ClientSession
) -> None:
    """A delivery reaches the open poll in the protocol's spelling."""
    given = delivery("a", requires=["x"], input={"text": "ä", "nothing": None, "big": 2**53})
    gateway.sessions.push(given)
    body = {"instance": INSTANCE, "free": 1, "wait": 30}
    async with client.post("/v1/tasks/next", json=body, headers=AUTH) as response:
        answer = orjson.loads(await response.read())
    assert answer["tasks"] == [
        {
            "name": "a",
            "namespace": "default",
            "uid": "uid-a",
            "attempt": 1,
            "requires": ["x"],
            "input": {"text": "ä", "nothing": None, "big": 2**53},
            "remainingSeconds": 60.0,
            "traceparent": None,
        }
    ]


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic dXNlcg==", "Bearer foreign", "Bearer " + "x" * 8000],
)
async def test_without_a_good_token_nothing_is_parsed(
    gateway: FakeGateway, client: aiohttp.ClientSession, header: str | None
) -> None:
    """No token, another scheme, a foreign or a huge one is 401, before the body is looked at."""
    headers = {} if header is None else {"Authorization": header}
    async with client.post("/v1/hello", data=b"not json", headers=headers) as response:
        status, title, detail = await problem(response)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert (status, title) == (401, "Unauthorized")
    assert "token" in detail
    assert gateway.sessions.calls == []


async def test_identity_goes_with_the_token(
    gateway: FakeGateway, client: aiohttp.ClientSession
) -> None:
    """The scheme's case does not matter, and the identity is that of the token sent."""
    other = PodIdentity(POD.pod, "another-uid")
    gateway.identities.tokens["second"] = other
    headers = {"Authorization": "bearer second"}
    async with client.post("/v1/hello", json=HELLO, headers=headers) as response:
        assert response.status == 200
    assert gateway.sessions.calls[-1].identity == other


@pytest.mark.parametrize("path", ["/v1/hello", "/v1/nothing", "/"])
async def test_without_leadership_everything_is_503(
    gateway: FakeGateway, client: aiohttp.ClientSession, path: str
) -> None:
    """A standby answers 503 with Retry-After to anything, asks no one, and ends the connection."""
    gateway.leadership.leading = False
    async with client.post(path, data=b"not json") as response:
        assert (await problem(response))[:2] == (503, "NotLeading")
        assert response.headers["Retry-After"] == "1"
        assert response.headers["Connection"] == "close"
    assert gateway.identities.asked == []


@pytest.mark.parametrize("status", [401, 403, 404, 409, 413, 422, 429, 503])
async def test_refusals_of_sessions_are_problems(
    gateway: FakeGateway, client: aiohttp.ClientSession, status: int
) -> None:
    """What a session refuses is answered with its status, title, detail and Retry-After."""
    gateway.sessions.refusals["complete"] = [ProtocolError(status, "SomeTitle", "some detail", 1.2)]
    path, body = "/v1/tasks/uid-a/1/complete", {"instance": INSTANCE}
    async with client.post(path, json=body, headers=AUTH) as response:
        assert await problem(response) == (status, "SomeTitle", "some detail")
        assert response.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "body: not JSON: Input is a zero-length, empty document at line 1 column 1"),
        (b"[]", "body: Input should be a valid dictionary or instance of HelloRequest"),
        ({**HELLO, "slots": 0}, "slots: Input should be greater than or equal to 1"),
        ({**HELLO, "slots": SECRET}, "slots: Input should be a valid integer"),
        ({**HELLO, "slots": True}, "slots: Input should be a valid integer"),
        (
            {**HELLO, "running": [{"uid": SECRET, "attempt": "1"}]},
            "running.0.attempt: Input should be a valid integer",
        ),
        ({"slots": 1, "instance": INSTANCE}, "protocolVersion: Field required"),
    ],
)
async def test_malformed_body_names_the_field(
    client: aiohttp.ClientSession, body: object, detail: str
) -> None:
    """A malformed body is 422 and says which field wants what, without any value."""
    answer = await post(client, "/v1/hello", body)
    assert answer == (422, "Malformed", detail)


async def test_many_faults_are_counted(client: aiohttp.ClientSession) -> None:
    """Of many faults the first five are told, and how many more there are."""
    body = {**HELLO, "running": [{"uid": "", "attempt": 0}] * 10}
    _, _, detail = await post(client, "/v1/hello", body)
    assert detail.count(";") == 5
    assert detail.endswith("and 15 more")


@pytest.mark.parametrize("attempt", ["x", "-1", "0", "1.0", "9999999999", "1" * 500, "\u0661"])
async def test_malformed_path_is_422(client: aiohttp.ClientSession, attempt: str) -> None:
    """An attempt that is no whole number from 1 on is 422, and its text is not repeated."""
    status, title, detail = await post(
        client, f"/v1/tasks/uid-a/{attempt}/complete", {"instance": INSTANCE}
    )
    assert (status, title) == (422, "Malformed")
    assert detail.startswith("attempt: ")


async def test_uid_is_checked(client: aiohttp.ClientSession) -> None:
    """A UID with other characters than letters, digits and dashes is 422."""
    path = "/v1/tasks/%2E%2E%2Fsecret/1/fail"
    status, _, detail = await post(client, path, {"instance": INSTANCE})
    assert (status, detail.split(":")[0]) == (422, "uid")


async def test_unknown_call_is_404(client: aiohttp.ClientSession) -> None:
    """A path that is no call of the protocol is 404."""
    assert (await post(client, "/v2/hello", HELLO))[:2] == (404, "NotFound")


async def test_other_methods_are_405(client: aiohttp.ClientSession) -> None:
    """Every call is a POST; another method is 405 and says so."""
    async with client.get("/v1/hello", headers=AUTH) as response:
        assert (await problem(response))[:2] == (405, "MethodNotAllowed")
        assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("chunked", [False, True])
async def test_oversize_body_is_413(
    gateway: FakeGateway,
    client: aiohttp.ClientSession,
    chunked: bool,  # noqa: FBT001 -- a parametrized case
) -> None:
    """A body over the limit is 413, with or without a Content-Length."""
    raw = orjson.dumps({"instance": INSTANCE, "result": "x" * MAX_BODY_BYTES})

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), 10_000):
            yield raw[start : start + 10_000]

    path = "/v1/tasks/uid-a/1/complete"
    data = chunks() if chunked else raw
    async with client.post(path, data=data, headers=AUTH) as response:
        assert await problem(response) == (
            413,
            "RequestEntityTooLarge",
            "the body is over 98304 bytes",
        )
    assert gateway.sessions.calls == []


async def test_compressed_body_is_not_unpacked(client: aiohttp.ClientSession) -> None:
    """A compressed body is malformed, so that a small one cannot grow large in memory."""
    import gzip  # noqa: PLC0415 -- for this one test

    packed = gzip.compress(orjson.dumps(HELLO))
    status, _, _ = await post(client, "/v1/hello", packed, **{"Content-Encoding": "gzip"})
    assert status == 422


async def test_slow_body_is_408() -> None:
    """A client that does not finish its body in time is answered 408."""
    async with fake_gateway(body_seconds=0.05) as gateway:
        reader, writer = await asyncio.open_connection(
            "localhost", gateway.port, ssl=gateway.client_tls
        )
        head = f"POST /v1/hello HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        line = await reader.readline()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    assert line.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (RuntimeError(SECRET), (500, "InternalError")),
        (TimeoutError(SECRET), (500, "InternalError")),
        (Unavailable("no answer", 3.0), (503, "ClusterUnavailable")),
    ],
)
async def test_faults_of_the_operator(
    gateway: FakeGateway,
    client: aiohttp.ClientSession,
    error: Exception,
    answer: tuple[int, str],
) -> None:
    """A bug is 500 and tells nothing; an API server that does not answer is 503, to be retried."""
    gateway.sessions.refusals["hello"] = [error]
    async with client.post("/v1/hello", json=HELLO, headers=AUTH) as response:
        status, title, detail = await problem(response)
        assert ("Retry-After" in response.headers) == (status == 503)
    assert (status, title) == answer
    assert SECRET not in detail


async def test_poll_ends_with_its_connection(
    gateway: FakeGateway, client: aiohttp.ClientSession
) -> None:
    """When a client goes away its poll is cancelled, so that no task is handed to nobody."""
    body = {"instance": INSTANCE, "free": 1, "wait": 60}
    poll = asyncio.create_task(client.post("/v1/tasks/next", json=body, headers=AUTH))
    await until(lambda: gateway.sessions.open_polls)
    poll.cancel()
    await until(lambda: gateway.sessions.withdrawn)
    assert gateway.sessions.open_polls == 0


async def test_close_ends_open_polls(gateway: FakeGateway, client: aiohttp.ClientSession) -> None:
    """Closing the listener does not wait for polls to end by themselves."""
    body = {"instance": INSTANCE, "free": 1, "wait": 60}
    poll = asyncio.create_task(client.post("/v1/tasks/next", json=body, headers=AUTH))
    await until(lambda: gateway.sessions.open_polls)
    await gateway.stop()
    with pytest.raises(aiohttp.ClientError):
        await poll
    assert gateway.sessions.withdrawn == 1


async def test_old_tls_is_refused(gateway: FakeGateway) -> None:
    """A client that speaks TLS 1.1 at most gets no connection."""
    context = gateway.client_tls
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.deprecated_call():
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("localhost", gateway.port, ssl=context)


async def test_port_in_use_is_an_error(gateway: FakeGateway) -> None:
    """A port that is taken is an error at once, not a server that nobody reaches."""
    app = build_app(gateway.sessions.answering, gateway.identities, gateway.leadership)
    with pytest.raises(OSError, match="address already in use"):
        await serve(app, None, "127.0.0.1", gateway.port)


async def test_probes_name_what_fails() -> None:
    """Probes are 200 while nothing fails, else 503 with the names of what does."""
    failing: list[str] = []
    app = build_probes(live=list, ready=lambda: failing)
    listener = await serve(app, None, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{listener.port}"
        async with aiohttp.ClientSession(url) as session:
            answers = []
            for path in ("/readyz", "/readyz", "/healthz"):
                async with session.get(path) as response:
                    answers.append((response.status, orjson.loads(await response.read())))
                failing[:] = ["task-feed"]
    finally:
        await listener.close()
    assert answers == [
        (200, {"failing": []}),
        (503, {"failing": ["task-feed"]}),
        (200, {"failing": []}),
    ]
