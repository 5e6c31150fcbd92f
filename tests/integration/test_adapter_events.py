"""Events as people read them."""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from agentcorps.adapters.clock import ServerClock
from agentcorps.adapters.connection import ApiConnection
from agentcorps.adapters.events import KubeEvents
from agentcorps.core.records import Key
from agentcorps.ports import Kind, Note
from support import objects
from support.api import answered, connected, eventually, proxied, running
from support.kubectl import Kubectl


def note(namespace: str, **changes: Any) -> Note:
    """Return a note about the Task `first`."""
    fields: dict[str, Any] = {
        "kind": Kind.TASK,
        "key": Key(namespace, "first"),
        "uid": "a-uid",
        "reason": "Bound",
        "action": "Assign",
        "message": "bound to readers-0 (attempt 1)",
    }
    return Note(**(fields | changes))


def sink(api: ApiConnection, **options: Any) -> KubeEvents:
    """Return a fast sink."""
    options = {"per_second": 1000.0, **options}
    return KubeEvents(api, instance="operator-1", clock=ServerClock(), **options)


async def written(api: ApiConnection, namespace: str, count: int) -> list[dict[str, Any]]:
    """Wait for a number of Events in a namespace, and return them."""

    async def read() -> list[dict[str, Any]]:
        """Return the Events once there are enough."""
        answer = await api.request("GET", f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")
        found = list(answer["items"])
        return found if len(found) >= count else []

    return await answered(read, f"{count} Events")


async def test_events_name_everything(kubeconfig: Path, namespace: str) -> None:
    """An Event says who did what to which object of whom, and why."""
    async with connected(kubeconfig) as api:
        events = sink(api)
        async with running(asyncio.create_task(events.run())):
            events.emit(note(namespace, related=Key(namespace, "readers-0")))
            events.emit(note(namespace, warning=True, reason="Lost"))
            found = await written(api, namespace, 2)
    by_reason = {event["reason"]: event for event in found}
    bound = by_reason["Bound"]
    assert bound["reportingController"] == "agentcorps.dev/operator"
    assert bound["reportingInstance"] == "operator-1"
    assert bound["action"] == "Assign"
    assert bound["type"] == "Normal"
    assert bound["note"] == "bound to readers-0 (attempt 1)"
    assert bound["regarding"] == {
        "apiVersion": "agentcorps.dev/v1alpha1",
        "kind": "Task",
        "namespace": namespace,
        "name": "first",
        "uid": "a-uid",
    }
    assert bound["related"]["kind"] == "Agent"
    assert bound["related"]["name"] == "readers-0"
    assert by_reason["Lost"]["type"] == "Warning"


async def test_describe_shows_events(kubeconfig: Path, namespace: str, kubectl: Kubectl) -> None:
    """`kubectl describe` of an object shows its Events."""
    uid = kubectl.create(objects.task())["metadata"]["uid"]
    async with connected(kubeconfig) as api:
        events = sink(api)
        async with running(asyncio.create_task(events.run())):
            events.emit(note(namespace, uid=uid))
            await written(api, namespace, 1)
    described = kubectl.run("describe", "task.agentcorps.dev", "first").stdout
    assert "bound to readers-0 (attempt 1)" in described


async def test_long_notes_are_shortened(kubeconfig: Path, namespace: str) -> None:
    """A message over 1,024 bytes is cut, not refused, also within a character."""
    async with connected(kubeconfig) as api:
        events = sink(api)
        async with running(asyncio.create_task(events.run())):
            events.emit(note(namespace, message="x" + "\u00e4" * 2000))
            found = await written(api, namespace, 1)
    assert found[0]["note"].endswith("\u00e4...")
    assert len(found[0]["note"].encode()) <= 1024
    assert events.dropped == 0


async def test_a_full_queue_drops_and_counts(kubeconfig: Path, namespace: str) -> None:
    """What does not fit into the queue is dropped and counted; what did fit is written."""
    async with connected(kubeconfig) as api:
        events = sink(api, capacity=2)
        for number in range(5):
            events.emit(note(namespace, message=str(number)))
        async with running(asyncio.create_task(events.run())):
            found = await written(api, namespace, 2)
    assert {event["note"] for event in found} == {"0", "1"}
    assert events.dropped == 3


async def test_warnings_overtake_what_else_waits(kubeconfig: Path, namespace: str) -> None:
    """What went wrong is written first, and has its place where the queue is full of others."""
    async with connected(kubeconfig) as api:
        events = sink(api, capacity=2)
        for number in range(3):
            events.emit(note(namespace, message=str(number)))
        events.emit(note(namespace, message="wrong", warning=True))
        async with running(asyncio.create_task(events.run())):
            found = await written(api, namespace, 3)
    told = sorted(found, key=lambda event: int(event["metadata"]["resourceVersion"]))
    assert [event["note"] for event in told] == ["wrong", "0", "1"]
    assert events.dropped == 1


async def test_a_refused_event_stops_nothing(kubeconfig: Path, namespace: str) -> None:
    """An Event that the API server does not take is dropped and counted; the next is written."""
    async with proxied(kubeconfig) as (api, proxy):
        events = sink(api)
        proxy.fault = lambda _: web.Response(status=500)
        async with running(asyncio.create_task(events.run())):
            events.emit(note(namespace, message="lost"))
            await eventually(lambda: events.dropped == 1, "dropped Event")
            proxy.fault = None
            events.emit(note(namespace, message="written"))
            found = await written(api, namespace, 1)
    assert [event["note"] for event in found] == ["written"]
