"""Takes tasks back from agents that are gone, so that others get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core import health

if TYPE_CHECKING:
    from agentcorps.control.apply import TaskApplier
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.state import State
    from agentcorps.ports import Clock


class RecoverTasks:
    """One step over the running tasks of agents that changed."""

    def __init__(
        self, state: State, applier: TaskApplier, remembered: Remembered, clock: Clock
    ) -> None:
        self._state = state
        self._applier = applier
        self._remembered = remembered
        self._clock = clock
        self._agents = state.news.of_agents()

    async def step(self) -> float | None:
        """Decide and start what is to be done; returns the seconds until a task is given up."""
        state, now, first_hello = self._state, self._clock.now(), self._remembered.first_hello
        for key in self._agents.take_due(now.monotonic):
            tasks = list(state.bound_to(key))
            self._agents.wake(key, health.next_loss(state, now, first_hello, tasks))
            for lost in health.lost_tasks(state, now, first_hello, tasks):
                self._applier.start(lost)
        alarm = self._agents.next_alarm()
        return None if alarm is None else alarm - now.monotonic
