"""Requests to a real API server: what is stored, and what goes wrong how."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agentcorps.adapters.kube import KubeCluster
from agentcorps.adapters.listing import Listing
from agentcorps.core.records import Key
from agentcorps.ports import Conflict, Kind, NotFound, Object, Refused, Unavailable
from support import objects
from support.api import connected, proxied

SECRET = "do-not-tell-4711"


def version_of(stored: Object) -> int:
    """Return an object's resourceVersion."""
    return int(stored["metadata"]["resourceVersion"])


def phase(name: str, **others: Any) -> dict[str, Any]:
    """Return a status of a Task that the schema takes."""
    return {"phase": name, "observedGeneration": 1, **others}


async def test_status_is_replaced_whole(kubeconfig: Path, namespace: str) -> None:
    """A status write stores nulls within the result and leaves nothing of the status before."""
    async with connected(kubeconfig) as api:
        cluster = KubeCluster(api)
        task = await cluster.create(Kind.TASK, namespace, objects.task())
        key = Key(namespace, "first")
        running = phase("Running", attempt=1, agentName="a-0")
        bound = await cluster.replace_status(Kind.TASK, key, version_of(task), running)
        done = phase("Succeeded", attempt=1, result={"empty": None, "deep": [None, 1]})
        await cluster.replace_status(Kind.TASK, key, version_of(bound), done)
        status = (await cluster.get(Kind.TASK, key))["status"]
    assert status["result"] == {"empty": None, "deep": [None, 1]}
    assert "agentName" not in status


async def test_stale_status_is_refused(kubeconfig: Path, namespace: str) -> None:
    """A status write with an old resourceVersion is a Conflict and changes nothing."""
    async with connected(kubeconfig) as api:
        cluster = KubeCluster(api)
        task = await cluster.create(Kind.TASK, namespace, objects.task())
        key, old = Key(namespace, "first"), version_of(task)
        await cluster.replace_status(Kind.TASK, key, old, phase("Succeeded", attempt=1))
        with pytest.raises(Conflict):
            await cluster.replace_status(Kind.TASK, key, old, phase("Running", attempt=1))
        assert (await cluster.get(Kind.TASK, key))["status"]["phase"] == "Succeeded"


@pytest.mark.parametrize(
    "result",
    [{"n": 2**70}, {"text": "\ud800"}, {"n": -(2**63)}, {"text": "\u0000\u2028\U0001f600"}],
    ids=["huge integer", "lone surrogate", "smallest integer", "odd characters"],
)
async def test_odd_results_are_stored(
    kubeconfig: Path, namespace: str, result: dict[str, Any]
) -> None:
    """Results that JSON allows and encoders dislike are stored, not raised on."""
    async with connected(kubeconfig) as api:
        cluster = KubeCluster(api)
        task = await cluster.create(Kind.TASK, namespace, objects.task())
        status = phase("Succeeded", attempt=1, result=result)
        stored = await cluster.replace_status(
            Kind.TASK, Key(namespace, "first"), version_of(task), status
        )
    assert set(stored["status"]["result"]) == set(result)


async def test_absent_and_taken_names(kubeconfig: Path, namespace: str) -> None:
    """An absent object is NotFound, a taken name a Conflict."""
    async with connected(kubeconfig) as api:
        cluster = KubeCluster(api)
        key = Key(namespace, "first")
        with pytest.raises(NotFound):
            await cluster.get(Kind.TASK, key)
        with pytest.raises(NotFound):
            await cluster.replace_status(Kind.TASK, key, 1, phase("Running"))
        await cluster.create(Kind.TASK, namespace, objects.task())
        with pytest.raises(Conflict):
            await cluster.create(Kind.TASK, namespace, objects.task())


async def test_refusals_name_the_field_but_no_value(kubeconfig: Path, namespace: str) -> None:
    """What validation refuses is Refused with the field's path and without what was sent."""
    bad = objects.task(priority="high " + SECRET, input={"text": SECRET})
    async with connected(kubeconfig) as api:
        with pytest.raises(Refused) as caught:
            await KubeCluster(api).create(Kind.TASK, namespace, bad)
    assert caught.value.status == 422
    assert "spec.priority" in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_delete_preconditions(kubeconfig: Path, namespace: str) -> None:
    """A delete fails on another UID (NotFound) or a stale version (Conflict), else it is done."""
    async with connected(kubeconfig) as api:
        cluster = KubeCluster(api)
        task = await cluster.create(Kind.TASK, namespace, objects.task())
        key, uid = Key(namespace, "first"), task["metadata"]["uid"]
        with pytest.raises(NotFound):
            await cluster.delete(Kind.TASK, key, uid="00000000-0000-0000-0000-000000000000")
        with pytest.raises(Conflict):
            await cluster.delete(Kind.TASK, key, uid=uid, resource_version=1)
        await cluster.delete(Kind.TASK, key, uid=uid, resource_version=version_of(task))
        with pytest.raises(NotFound):
            await cluster.delete(Kind.TASK, key, uid=uid)


async def test_lists_have_every_page(kubeconfig: Path, namespace: str) -> None:
    """A list read in small pages has every object once, and a version that none of them exceeds."""
    async with connected(kubeconfig) as api:
        cluster = KubeCluster(api)
        made = [
            await cluster.create(Kind.TASK, namespace, objects.task(f"t-{number}"))
            for number in range(7)
        ]
        listing = Listing(api, Kind.TASK, namespace, page_size=2)
        names, version = await listing.read(lambda item: str(item["metadata"]["name"]))
    assert names == [f"t-{number}" for number in range(7)]
    assert version >= max(map(version_of, made))


async def test_lists_of_metadata(kubeconfig: Path, namespace: str) -> None:
    """A metadata-only list has names and UIDs, but neither spec nor status."""
    async with connected(kubeconfig) as api:
        cluster = KubeCluster(api)
        task = await cluster.create(Kind.TASK, namespace, objects.task())
        (item,), _ = await cluster.list_objects(Kind.TASK, [namespace], metadata_only=True)
        everywhere, _ = await cluster.list_objects(Kind.TASK)
    assert item["metadata"]["uid"] == task["metadata"]["uid"]
    assert not {"spec", "status"} & set(item)
    assert task["metadata"]["uid"] in {found["metadata"]["uid"] for found in everywhere}


async def test_expired_pages_start_over(kubeconfig: Path, namespace: str) -> None:
    """A list whose next page has expired (410) is read anew and has no object twice."""
    async with proxied(kubeconfig) as (api, proxy):
        cluster = KubeCluster(api)
        for number in range(3):
            await cluster.create(Kind.TASK, namespace, objects.task(f"t-{number}"))
        expired: list[str] = []

        def expire_once(request: web.Request) -> web.Response | None:
            """Refuse the first request for a following page."""
            if "continue" not in request.query or expired:
                return None
            expired.append(request.path)
            return web.json_response({"kind": "Status", "reason": "Expired"}, status=410)

        proxy.fault = expire_once
        listing = Listing(api, Kind.TASK, namespace, page_size=2)
        names, _ = await listing.read(lambda item: str(item["metadata"]["name"]))
    assert expired
    assert names == ["t-0", "t-1", "t-2"]


@pytest.mark.parametrize("status", [408, 429, 500, 503, 504])
async def test_overload_is_unavailable(kubeconfig: Path, namespace: str, status: int) -> None:
    """An overloaded or broken server is Unavailable, with the seconds that it asks for."""
    async with proxied(kubeconfig) as (api, proxy):
        proxy.fault = lambda _: web.Response(status=status, headers={"Retry-After": "7"}, text="no")
        with pytest.raises(Unavailable) as caught:
            await KubeCluster(api).get(Kind.TASK, Key(namespace, "first"))
    assert caught.value.retry_after == 7


async def test_silence_ends(kubeconfig: Path, namespace: str) -> None:
    """A server that does not answer is Unavailable once the call's time is over."""
    async with proxied(kubeconfig) as (api, proxy):
        proxy.fall_silent()
        with pytest.raises(Unavailable, match="no answer within"):
            await KubeCluster(api, timeout=0.2).get(Kind.TASK, Key(namespace, "first"))


async def test_lost_answers_are_unavailable(kubeconfig: Path, namespace: str) -> None:
    """A write whose answer is lost is Unavailable, though it happened; it is not sent twice."""
    async with proxied(kubeconfig) as (api, proxy):
        cluster = KubeCluster(api)
        proxy.loses = lambda request: request.method == "POST"
        with pytest.raises(Unavailable):
            await cluster.create(Kind.TASK, namespace, objects.task())
        stored = await cluster.get(Kind.TASK, Key(namespace, "first"))
    assert stored["metadata"]["name"] == "first"
    assert proxy.count("POST") == 1
