"""The task-assignment handler: binds waiting tasks to ready agents, and ends what is over.

1. observe: feeds, sessions and write answers have changed the state already;
2. decide: what is due, what fits whom;
3. act: each write starts at once and lands on its own; a slow one never holds up the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from agentcorps.control.backlog import Backlog
from agentcorps.core import deadlines, matching, retention
from agentcorps.core.actions import Explain

if TYPE_CHECKING:
    from agentcorps.control.apply import TaskApplier
    from agentcorps.core.records import Now
    from agentcorps.core.state import State
    from agentcorps.ports import Clock

log = structlog.get_logger(__name__)

MAX_CONCURRENT_BINDINGS: Final = 64
"""Bindings whose write is under way, over all namespaces."""
MAX_CONCURRENT_ENDS: Final = 32
"""The same for what is due: cancellations, timeouts, deletions."""
MAX_CONCURRENT_WORDS: Final = 8
"""The same for the reasons why Tasks wait, of which thousands may be due at once."""


class AssignTasks:
    """One step of the assignment loop."""

    def __init__(self, state: State, applier: TaskApplier, clock: Clock) -> None:
        self._state = state
        self._applier = applier
        self._clock = clock
        self._ends = Backlog(applier, MAX_CONCURRENT_ENDS)
        self._words = Backlog(applier, MAX_CONCURRENT_WORDS)
        self._led_since: float | None = None

    async def step(self) -> float | None:
        """Decide and start what is to be done; returns the seconds until the next deadline.

        The first step is the beginning of this leader's term: steps are only taken while it leads.
        """
        now = self._clock.now()
        if self._led_since is None:
            self._led_since = now.monotonic
        for due in deadlines.due(self._state, now, self._led_since):
            task = self._state.task(due.task_uid)
            if task is not None:
                backlog = self._words if isinstance(due, Explain) else self._ends
                backlog.add(task.key.namespace, due)
        self._bind(now)
        for refused in retention.overflow(self._state):
            self._applier.start(refused)
        self._ends.begin()
        self._words.begin()
        next_due = deadlines.next_due(self._state)
        return None if next_due is None else next_due - now.monotonic

    def _bind(self, now: Now) -> None:
        """Begin bindings, in turn, while there is room for their writes.

        What finds no room now is decided when a write has ended. So whoever has one task behind
        another's ten thousand waits for one turn, and reports of agents wait behind a few writes.
        """
        while self._state.binding < MAX_CONCURRENT_BINDINGS:
            binding = matching.next_binding(self._state, now)
            if binding is None:
                return
            self._applier.start(binding)
            if not self._state.in_flight(binding.task_uid):
                log.error("a binding was not begun", uid=binding.task_uid)
                return
