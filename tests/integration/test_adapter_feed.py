"""The feed on a real API server whose connections are cut, silent and lied on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from structlog.testing import capture_logs

from agentcorps.adapters.connection import ApiConnection
from agentcorps.adapters.feed import Feed, Readers, Scope, Timing
from agentcorps.adapters.kube import KubeCluster
from agentcorps.core.records import Key
from agentcorps.ports import Kind, Object
from support import objects
from support.api import connected, eventually, proxied, running
from support.api_proxy import ApiProxy

GONE = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}'
BROKEN = b'{"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}}'
SHORT = Timing(watch_seconds=1, silence_seconds=1, jitter=lambda seconds: seconds / 10)
STEADY = Timing(jitter=lambda seconds: seconds / 10)
LARGE = 200_000


@dataclass
class Picture:
    """What somebody knows through a feed: names and sizes of Tasks."""

    tasks: dict[str, int] = field(default_factory=dict)
    lists: int = 0
    events: list[tuple[str, str]] = field(default_factory=list)
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    """Events of what could not be read, with the name and why."""

    @staticmethod
    def decode(body: Object) -> tuple[str, int]:
        """Keep name and size of an annotation; refuse objects named `bad-...`."""
        name = body["metadata"]["name"]
        if name.startswith("bad-"):
            raise ValueError("this one cannot be read")
        annotations = body["metadata"].get("annotations") or {}
        return name, len(annotations.get("note", ""))

    def replace(self, records: list[tuple[str, int]], _version: int) -> None:
        """Take a list."""
        self.lists += 1
        self.tasks = dict(records)

    def change(self, event: str, record: tuple[str, int]) -> None:
        """Take an event."""
        name, size = record
        self.events.append((event, name))
        if event == "DELETED":
            self.tasks.pop(name, None)
        else:
            self.tasks[name] = size

    def miss(self, event: str, body: Object, why: str) -> None:
        """Take what could not be read."""
        self.missed.append((event, body["metadata"]["name"], why))

    def shows(self, *names: str) -> Callable[[], bool]:
        """Return a probe: exactly these Tasks are known."""
        return lambda: set(self.tasks) == set(names)


@asynccontextmanager
async def fed(
    api: ApiConnection, namespace: str, picture: Picture, timing: Timing = STEADY, **options: Any
) -> AsyncIterator[Feed[tuple[str, int]]]:
    """Run a feed into a picture, and wait for its first list."""
    feed = Feed(
        api,
        Kind.TASK,
        Readers(
            decode=options.get("decode", picture.decode),
            on_replace=picture.replace,
            on_event=options.get("on_event", picture.change),
            on_unreadable=picture.miss,
        ),
        scope=Scope(namespace, label_selector=options.get("label_selector", ""), page_size=2),
        timing=timing,
    )
    task = asyncio.create_task(feed.run())
    async with running(task):
        await asyncio.wait_for(feed.synced.wait(), 60)
        yield feed


async def make(api: ApiConnection, namespace: str, *names: str, **metadata: Any) -> list[str]:
    """Create Tasks and return their UIDs."""
    uids = []
    for name in names:
        body = objects.task(name)
        body["metadata"] |= metadata
        made = await KubeCluster(api).create(Kind.TASK, namespace, body)
        uids.append(made["metadata"]["uid"])
    return uids


async def remove(api: ApiConnection, namespace: str, name: str, uid: str) -> None:
    """Delete a Task."""
    await KubeCluster(api).delete(Kind.TASK, Key(namespace, name), uid=uid)


async def watching(proxy: ApiProxy) -> None:
    """Wait until the feed's watch is open."""
    await eventually(lambda: proxy.watches == 1, "open watch")


async def test_list_and_watch(kubeconfig: Path, namespace: str) -> None:
    """What was there, what comes and what goes all arrive."""
    picture = Picture()
    async with connected(kubeconfig) as api:
        uids = await make(api, namespace, "a", "b", "c")
        async with fed(api, namespace, picture):
            assert set(picture.tasks) == {"a", "b", "c"}
            await make(api, namespace, "d")
            await remove(api, namespace, "a", uids[0])
            await eventually(picture.shows("b", "c", "d"), "b, c and d")
    assert picture.lists == 1


async def test_no_ghosts_after_a_relist(kubeconfig: Path, namespace: str) -> None:
    """What is deleted while the watch is cut and its position expires is not kept."""
    picture = Picture()
    async with proxied(kubeconfig) as (api, proxy), connected(kubeconfig) as direct:
        uids = await make(direct, namespace, "a", "b", "c")
        async with fed(api, namespace, picture):
            await watching(proxy)

            def expired(request: web.Request) -> web.Response | None:
                """Refuse the next watch's position, once."""
                if "watch" not in request.query:
                    return None
                proxy.fault = None
                return web.json_response({"kind": "Status", "reason": "Expired"}, status=410)

            proxy.refusing = True
            proxy.cut()
            await remove(direct, namespace, "a", uids[0])
            await remove(direct, namespace, "c", uids[2])
            proxy.fault = expired
            proxy.refusing = False
            await eventually(picture.shows("b"), "b alone")
    assert ("DELETED", "a") not in picture.events
    assert picture.lists == 2


async def test_an_expired_watch_is_listed_anew(kubeconfig: Path, namespace: str) -> None:
    """A 410 within the stream leads to a new list, and the feed goes on from there."""
    picture = Picture()
    async with proxied(kubeconfig) as (api, proxy), fed(api, namespace, picture):
        await watching(proxy)
        await proxy.inject(GONE)
        await eventually(lambda: picture.lists == 2, "second list")
        await make(api, namespace, "a")
        await eventually(picture.shows("a"), "a")


async def test_a_cut_watch_goes_on_where_it_was(kubeconfig: Path, namespace: str) -> None:
    """After a cut the missed events arrive, without a new list."""
    picture = Picture()
    async with proxied(kubeconfig) as (api, proxy), connected(kubeconfig) as direct:
        (uid,) = await make(direct, namespace, "a")
        async with fed(api, namespace, picture):
            await watching(proxy)
            proxy.cut()
            await remove(direct, namespace, "a", uid)
            await make(direct, namespace, "b")
            await eventually(picture.shows("b"), "b alone")
    assert picture.events[-2:] == [("DELETED", "a"), ("ADDED", "b")]
    assert picture.lists == 1


async def test_an_error_in_the_watch_is_survived(kubeconfig: Path, namespace: str) -> None:
    """A 500 within the stream costs no event."""
    picture = Picture()
    async with proxied(kubeconfig) as (api, proxy), fed(api, namespace, picture):
        await watching(proxy)
        await proxy.inject(BROKEN)
        await make(api, namespace, "a")
        await eventually(picture.shows("a"), "a")
    assert sum("watch=true" in path for _, path in proxy.requests) > 1
    assert (picture.lists, picture.events) == (1, [("ADDED", "a")])


async def test_junk_lines_are_survived(kubeconfig: Path, namespace: str) -> None:
    """Lines that are not events are skipped, and the watch stays open."""
    picture = Picture()
    async with proxied(kubeconfig) as (api, proxy), fed(api, namespace, picture):
        await watching(proxy)
        for junk in (b"", b"not json", b"[]", b'{"type":1,"object":{}}', b'{"type":"ADDED"}'):
            await proxy.inject(junk)
        await make(api, namespace, "a")
        await eventually(picture.shows("a"), "a")
    assert picture.lists == 1


async def test_large_objects_arrive(kubeconfig: Path, namespace: str) -> None:
    """An object far larger than a read buffer arrives whole, by list and by watch."""
    picture = Picture()
    note = {"note": "x" * LARGE}
    async with connected(kubeconfig) as api:
        await make(api, namespace, "listed", annotations=note)
        async with fed(api, namespace, picture):
            await make(api, namespace, "watched", annotations=note)
            await eventually(picture.shows("listed", "watched"), "both")
    assert picture.tasks == {"listed": LARGE, "watched": LARGE}


async def test_a_bad_object_hides_no_other(kubeconfig: Path, namespace: str) -> None:
    """Objects that cannot be decoded are told apart, listed or watched; the others arrive."""
    picture = Picture()
    async with connected(kubeconfig) as api:
        await make(api, namespace, "a", "bad-1", "c")
        async with fed(api, namespace, picture):
            bad, _ = await make(api, namespace, "bad-2", "d")
            await remove(api, namespace, "bad-2", bad)
            await eventually(picture.shows("a", "c", "d"), "a, c and d")
            await eventually(lambda: len(picture.missed) == 3, "all that cannot be read")
    assert [(event, name) for event, name, _ in picture.missed] == [
        ("LISTED", "bad-1"),
        ("ADDED", "bad-2"),
        ("DELETED", "bad-2"),
    ]
    assert {why for *_, why in picture.missed} == {"it cannot be read (ValueError)"}


async def test_a_failing_callback_stops_nothing(kubeconfig: Path, namespace: str) -> None:
    """After an exception of the callback the next event is delivered."""
    picture = Picture()

    def failing(event: str, record: tuple[str, int]) -> None:
        """Fail on `a`, take the rest."""
        if record[0] == "a":
            raise RuntimeError("a fault of the receiver")
        picture.change(event, record)

    async with connected(kubeconfig) as api:
        with capture_logs() as logs:
            async with fed(api, namespace, picture, on_event=failing):
                await make(api, namespace, "a", "b")
                await eventually(picture.shows("b"), "b")
    assert picture.lists == 1
    told = [entry for entry in logs if entry["event"] == "feed.callback_error"]
    assert [entry["object"] for entry in told] == [f"{namespace}/a"]


async def test_leaving_the_selection_is_a_delete(kubeconfig: Path, namespace: str) -> None:
    """An object whose label no longer matches is reported as deleted; foreign ones never show."""
    picture = Picture()
    async with connected(kubeconfig) as api:
        await make(api, namespace, "mine", labels={"side": "left"})
        await make(api, namespace, "foreign")
        async with fed(api, namespace, picture, label_selector="side=left"):
            assert set(picture.tasks) == {"mine"}
            patch = [{"op": "remove", "path": "/metadata/labels/side"}]
            await api.request(
                "PATCH",
                f"/apis/agentcorps.dev/v1alpha1/namespaces/{namespace}/tasks/mine",
                body=patch,
                content_type="application/json-patch+json",
            )
            await eventually(picture.shows(), "nothing")
    assert picture.events == [("DELETED", "mine")]


async def test_a_silent_connection_is_noticed(kubeconfig: Path, namespace: str) -> None:
    """A watch that says nothing past its time is given up, and what was missed arrives."""
    picture = Picture()
    async with (
        proxied(kubeconfig) as (api, proxy),
        connected(kubeconfig) as direct,
        fed(api, namespace, picture, SHORT),
    ):
        await watching(proxy)
        proxy.fall_silent()
        seen = len(proxy.requests)
        await make(direct, namespace, "a")
        await eventually(lambda: len(proxy.requests) > seen, "another attempt")
        assert not picture.tasks
        proxy.speak()
        await eventually(picture.shows("a"), "a")


async def test_an_outage_ends(kubeconfig: Path, namespace: str) -> None:
    """While the server refuses connections the feed tries on; afterwards the picture is right."""
    picture = Picture()
    async with proxied(kubeconfig) as (api, proxy), connected(kubeconfig) as direct:
        (uid,) = await make(direct, namespace, "a")
        async with fed(api, namespace, picture):
            await watching(proxy)
            proxy.refusing = True
            proxy.cut()
            seen = len(proxy.requests)
            await remove(direct, namespace, "a", uid)
            await make(direct, namespace, "b")
            await eventually(lambda: len(proxy.requests) >= seen + 4, "repeated attempts")
            proxy.refusing = False
            await eventually(picture.shows("b"), "b alone")


async def test_ready_and_alive(kubeconfig: Path, namespace: str) -> None:
    """Readiness ends when nothing succeeds for two minutes; failing attempts are still progress."""
    picture = Picture()
    moment = [1000.0]
    timing = Timing(monotonic=lambda: moment[0], jitter=lambda seconds: seconds / 10)
    async with (
        proxied(kubeconfig) as (api, proxy),
        fed(api, namespace, picture, timing) as feed,
    ):
        await watching(proxy)
        assert feed.ready()
        moment[0] += 121
        assert not feed.ready()
        assert feed.age() > 120
        proxy.refusing = True
        proxy.cut()
        await eventually(lambda: feed.age() < 1, "progress")
        assert not feed.ready()
        proxy.refusing = False
        await eventually(feed.ready, "readiness")


async def test_refresh_takes_in_a_new_list(kubeconfig: Path, namespace: str) -> None:
    """After a refresh everything written before it is known, and the watch goes on."""
    picture = Picture()
    async with (
        proxied(kubeconfig) as (api, proxy),
        connected(kubeconfig) as direct,
        fed(api, namespace, picture) as feed,
    ):
        await watching(proxy)
        await make(direct, namespace, "a")
        await asyncio.wait_for(asyncio.gather(feed.refresh(), feed.refresh()), 60)
        assert set(picture.tasks) == {"a"}
        assert picture.lists >= 2
        await make(direct, namespace, "b")
        await eventually(picture.shows("a", "b"), "a and b")
