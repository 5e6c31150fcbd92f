"""Steps that look only at what changed do what steps that look at everything would do."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from agentcorps.api.meta import TaskPhase
from agentcorps.api.protocol import CompleteRequest, FailRequest, TaskRef
from agentcorps.control.refusals import ProtocolError
from agentcorps.core import news, wire
from agentcorps.core.records import Key
from agentcorps.ports import Kind, PodIdentity, Refused, Unavailable
from support.control_room import INSTANCE, NAMESPACE, POOL, ControlRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agentcorps.ports import Object

AGENTS: Final = 3
EVENTS: Final = (
    "scale",
    "template",
    "run",
    "end",
    "evict",
    "remove",
    "stuck",
    "hello",
    "poll",
    "let go",
    "touch",
    "goodbye",
    "task",
    "complete",
    "fail",
    "refuse",
    "cut",
    "delete",
    "nothing",
)
HISTORIES = st.lists(
    st.tuples(
        st.sampled_from(EVENTS),
        st.integers(0, AGENTS - 1),
        st.sampled_from((0.0, 0.5, 1.0, 4.0, 11.0, 16.0, 45.0, 130.0)),
    ),
    max_size=40,
)


class Stage:
    """One room, and what happens in its cluster."""

    def __init__(self, *, thorough: bool) -> None:
        self.room = ControlRoom()
        self.thorough = thorough
        self.tasks = 0
        self.room.add_pool(2)

    async def turn(self, seconds: float) -> None:
        """Let time pass, and every loop run once."""
        room = self.room
        room.clock.advance(seconds)
        for step in (room.recover, room.scale, room.create, room.assign, room.monitor):
            if self.thorough:
                room.state.news.everything()
            await step.step()
            await room.writes.drain()

    async def happen(self, what: str, number: int) -> None:
        """Let one thing happen to an agent, where it can."""
        key = Key(NAMESPACE, f"{POOL}-{number}")
        if what == "nothing":
            return
        if what in {"scale", "template"}:
            self._change_pool(what, number)
        elif what == "task":
            self.tasks += 1
            self.room.add_task(f"task-{self.tasks}")
        elif what == "refuse":
            self.room.cluster.fail("create", Refused(403, "Forbidden", "exceeded quota: small"))
        elif what == "cut":
            self.room.cluster.fail("status", Unavailable("cut"))
        elif what == "delete" and (Kind.AGENT, key) in self.room.cluster.objects:
            agent = self.room.cluster.objects.pop((Kind.AGENT, key))
            self.room.observer.agent_event("DELETED", agent)
        elif (Kind.POD, key) in self.room.cluster.objects:
            await self._happen_to_pod(what, key)

    def _change_pool(self, what: str, number: int) -> None:
        def change(pool: Object) -> None:
            if what == "scale":
                pool["spec"]["replicas"] = number
            else:
                pool["spec"]["template"]["spec"]["slots"] = number + 1

        key = Key(NAMESPACE, POOL)
        self.room.observer.pool_event("MODIFIED", self.room.cluster.change(Kind.POOL, key, change))

    async def _happen_to_pod(self, what: str, key: Key) -> None:
        if what == "remove":
            self.room.remove_pod(key.name)
        elif what in POD_CHANGES:
            pod = self.room.cluster.change(Kind.POD, key, POD_CHANGES[what])
            self.room.observer.pod_event("MODIFIED", wire.pod_record(pod))
        else:
            await self._happen_to_process(what, key)

    async def _happen_to_process(self, what: str, key: Key) -> None:
        state = self.room.state
        pod: dict[str, Any] = self.room.cluster.objects[Kind.POD, key]
        who = PodIdentity(key, pod["metadata"]["uid"])
        if what == "poll":
            state.open_poll(key, 1, self.room.clock.now())
        elif what == "let go":
            state.close_poll(key, self.room.clock.now())
        elif what == "touch":
            state.touch(key, self.room.clock.now())
        elif what == "hello":
            await _asked(self.room.hello(who))
        elif what == "goodbye":
            state.leave(key)
        else:
            await self._report(what, key, who)

    async def _report(self, what: str, key: Key, who: PodIdentity) -> None:
        running = [one for one in self.room.state.bound_to(key) if one.phase is TaskPhase.RUNNING]
        for task in running:
            ref = TaskRef(uid=task.uid, attempt=task.attempt)
            if what == "complete":
                report = CompleteRequest(instance=INSTANCE, result=1)
                await _asked(self.room.calls.reports.complete(who, ref, report))
            else:
                failure = FailRequest(instance=INSTANCE, message="no")
                await _asked(self.room.calls.reports.fail(who, ref, failure))

    def seen(self) -> dict[str, Any]:
        """What stands in the cluster, but for UIDs: they depend on the order within a step."""
        return {
            f"{kind.name} {key}": _without_uids(body.get("status", {}))
            for (kind, key), body in self.room.cluster.objects.items()
        }


async def _asked(call: Coroutine[Any, Any, object]) -> None:
    """Make a call that may be refused."""
    try:
        await call
    except ProtocolError:
        return


def _set_status(**status: Any) -> Callable[[Object], None]:
    return lambda pod: pod.update(status=status)


def _evict(pod: Object) -> None:
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:30:00Z"


POD_CHANGES: Final[dict[str, Callable[[Object], None]]] = {
    "run": _set_status(phase="Running"),
    "end": _set_status(phase="Failed"),
    "evict": _evict,
    "stuck": _set_status(
        phase="Pending",
        containerStatuses=[{"state": {"waiting": {"reason": "ImagePullBackOff"}}}],
    ),
}


def _without_uids(status: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name != "podUID"}


async def _live(history: list[tuple[str, int, float]]) -> None:
    """Let the same happen to two operators, and compare them after every turn."""
    stages = (Stage(thorough=False), Stage(thorough=True))
    for what, number, seconds in [("nothing", 0, 0.0)] * 2 + history:
        for stage in stages:
            await stage.happen(what, number)
            await stage.turn(seconds)
        thrifty, thorough = stages
        assert Counter(thrifty.room.cluster.writes) == Counter(thorough.room.cluster.writes)
        assert thrifty.seen() == thorough.seen()


@settings(max_examples=150, deadline=None)
@given(HISTORIES)
def test_no_history_shows_who_looks_at_everything(history: list[tuple[str, int, float]]) -> None:
    """After each turn the same was written, though the one never looks at what did not change."""
    with patch.object(news, "FULL_PASS_SECONDS", float("inf")):
        asyncio.run(_live(history))
