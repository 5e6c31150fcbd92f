"""Takes tasks back from agents that are gone, so that others get them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core import health

if TYPE_CHECKING:
    from agentcorps.control.apply import TaskApplier
    from agentcorps.control.basis import Basis


class RecoverTasks:
    """One step over the running tasks of agents that changed."""

    def __init__(self, basis: Basis, applier: TaskApplier) -> None:
        self._state, self._remembered, self._clock = basis
        self._applier = applier
        self._agents = self._state.news.of_agents()

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
