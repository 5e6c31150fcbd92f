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
    """One step over all running tasks."""

    def __init__(
        self, state: State, applier: TaskApplier, remembered: Remembered, clock: Clock
    ) -> None:
        self._state = state
        self._applier = applier
        self._remembered = remembered
        self._clock = clock

    async def step(self) -> float | None:
        """Decide and start what is to be done; CreateAgents knows what time makes due."""
        for lost in health.lost_tasks(self._state, self._clock.now(), self._remembered.first_hello):
            self._applier.start(lost)
        return None
