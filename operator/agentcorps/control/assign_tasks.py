"""The task-assignment handler: binds waiting tasks to ready agents, and ends what is over.

1. observe: feeds, sessions and write answers have changed the state already;
2. decide: what is due, what fits whom;
3. act: each write starts at once and lands on its own; a slow one never holds up the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core import deadlines, matching, retention

if TYPE_CHECKING:
    from agentcorps.control.apply import TaskApplier
    from agentcorps.core.state import State
    from agentcorps.ports import Clock


class AssignTasks:
    """One step of the assignment loop."""

    def __init__(self, state: State, applier: TaskApplier, clock: Clock) -> None:
        self._state = state
        self._applier = applier
        self._clock = clock

    async def step(self) -> float | None:
        """Decide and start what is to be done; returns the seconds until the next deadline."""
        now = self._clock.now()
        for due in deadlines.due(self._state, now):
            self._applier.start(due)
        for binding in matching.bindings(self._state, now):
            self._applier.start(binding)
        for refused in retention.overflow(self._state):
            self._applier.start(refused)
        next_due = deadlines.next_due(self._state)
        return None if next_due is None else next_due - now.monotonic
