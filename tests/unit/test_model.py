"""Replicas, agents and an API server through random histories: the invariants hold, bugs show.

The moves and what is judged are in support/model; `make model` runs a million of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest

from agentcorps.agent.term import Term
from agentcorps.control import deliveries
from agentcorps.control.apply import TaskApplier
from agentcorps.control.drafts import Draft, NotApplied
from agentcorps.control.duty import DutifulCluster, Duty
from agentcorps.control.gatekeeper import Gatekeeper
from agentcorps.control.task_writes import TaskWrites
from agentcorps.core import lifecycle, wire
from agentcorps.core.state import State
from agentcorps.ports import Conflict, Kind, Object, Unavailable
from support.model.errors import errors_fail
from support.model.judge import Broken
from support.model.machine import explore, wander

if TYPE_CHECKING:
    from agentcorps.core.actions import Bind
    from agentcorps.core.records import TaskRecord

RUNS = 150
HISTORIES_WITH_A_BUG = 200

__all__ = ["errors_fail"]
pytestmark = pytest.mark.usefixtures("errors_fail")
Plant = Callable[[pytest.MonkeyPatch], None]


def test_every_history_keeps_the_invariants() -> None:
    """One current binding, one immutable end, true verdicts, nothing lost, over many histories."""
    assert explore(RUNS) > RUNS


def skip_the_fence(patch: pytest.MonkeyPatch) -> None:
    """Take a report from whoever sends it."""
    patch.setattr(lifecycle, "fence", lambda *_: None)


def ignore_the_epoch_in_agents(patch: pytest.MonkeyPatch) -> None:
    """Let agents listen to any leader."""
    patch.setattr(Term, "accepts", lambda *_: True)


def ignore_the_lease_in_the_gateway(patch: pytest.MonkeyPatch) -> None:
    """Answer agents whether this process leads or not."""
    patch.setattr(Gatekeeper, "require_leading", lambda _: None)


def write_without_the_lease(patch: pytest.MonkeyPatch) -> None:
    """Go on writing after a pause, whoever leads now."""
    patch.setattr(DutifulCluster, "_require", lambda _: None)


def lead_before_the_lists(patch: pytest.MonkeyPatch) -> None:
    """Serve agents from the moment at which the Lease is taken."""
    patch.setattr(Duty, "leading", property(lambda self: self._lease.leading))


def retry_blindly(patch: pytest.MonkeyPatch) -> None:
    """After a lost answer or a conflict, write the same again over whatever is there."""

    async def send(writes: TaskWrites, before: TaskRecord, draft: Draft) -> Object:
        version = before.resource_version
        status = wire.task_status(draft.record, result=draft.result)
        link = cast("DutifulCluster", writes._cluster)._cluster
        while True:
            try:
                return await link.replace_status(Kind.TASK, before.key, version, status)
            except (Unavailable, Conflict):
                stored = await writes._read_until_answered(before)
                if stored is None:
                    raise NotApplied("gone") from None
                version = int(stored["metadata"]["resourceVersion"])

    patch.setattr(TaskWrites, "_send", send)


def believe_in_lost_writes(patch: pytest.MonkeyPatch) -> None:
    """Take a write without an answer for done."""

    async def believe(
        writes: TaskWrites, before: TaskRecord, after: TaskRecord, lost: Unavailable
    ) -> Object:
        stored = await writes._read_until_answered(before)
        if stored is None:
            raise NotApplied(str(after.key)) from lost
        return stored

    patch.setattr(TaskWrites, "_find_out", believe)


def deliver_before_the_write(patch: pytest.MonkeyPatch) -> None:
    """Hand a task over as soon as its binding is decided."""

    def bind(applier: TaskApplier, action: Bind) -> None:
        now = applier._clock.now()

        def transition(record: TaskRecord) -> TaskRecord:
            after = lifecycle.bind(record, action.agent, action.pod_uid, action.instance, now)
            applier._deliveries.hand_over(after, {"spec": {}})
            return after

        applier._writes.begin(action.task_uid, transition)

    patch.setattr(TaskApplier, "_bind", bind)
    patch.setattr(deliveries, "_current", lambda *_: True)


def forget_what_is_in_flight(patch: pytest.MonkeyPatch) -> None:
    """Decide about tasks whose last write is not answered yet."""
    patch.setattr(State, "in_flight", lambda *_: False)


BUGS: list[tuple[Plant, str]] = [
    (skip_the_fence, "late_report"),
    (ignore_the_epoch_in_agents, "late_delivery"),
    (ignore_the_lease_in_the_gateway, "fail_over"),
    (write_without_the_lease, "fail_over"),
    (lead_before_the_lists, "fail_over"),
    (retry_blindly, "fail_over"),
    (believe_in_lost_writes, "lose_next"),
    (deliver_before_the_write, "lose_next"),
    (forget_what_is_in_flight, "hold_up"),
]
"""Each with the kind of fault that brings it out soonest."""


@pytest.mark.parametrize(("plant", "fault"), BUGS, ids=lambda one: getattr(one, "__name__", one))
def test_a_planted_bug_is_found(plant: Plant, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each bug breaks an invariant within the bounds of this test."""
    plant(monkeypatch)
    with pytest.raises(Broken):
        wander(range(HISTORIES_WITH_A_BUG), [fault])
