"""Carries decisions about bindings through, as the assignment loop does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core import lifecycle
from agentcorps.core.matching import next_binding
from support.strategies import NOW

if TYPE_CHECKING:
    from agentcorps.core.actions import Bind
    from agentcorps.core.records import Now
    from agentcorps.core.state import State


def assume(state: State, bind: Bind, now: Now = NOW) -> None:
    """Begin the write of a binding."""
    task = state.tasks[bind.task_uid]
    state.assume(lifecycle.bind(task, bind.agent, bind.pod_uid, bind.instance, now))


def bindings(state: State, now: Now = NOW, limit: int | None = None) -> list[Bind]:
    """Begin the writes of all bindings that are possible (or of the first ones); return them."""
    found: list[Bind] = []
    while limit is None or len(found) < limit:
        bind = next_binding(state, now)
        if bind is None:
            break
        assume(state, bind, now)
        found.append(bind)
    return found
