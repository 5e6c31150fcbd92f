"""Takes back what a process still holds when it says goodbye."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agentcorps.api.meta import TaskReason
from agentcorps.control.refusals import unavailable
from agentcorps.control.retold import attempt_ended
from agentcorps.core import lifecycle
from agentcorps.ports import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.api.protocol import GoodbyeRequest
    from agentcorps.control.gatekeeper import Caller, Gatekeeper
    from agentcorps.control.task_writes import TaskWrites
    from agentcorps.core.records import TaskRecord
    from agentcorps.core.state import State
    from agentcorps.ports import Clock, EventSink, PodIdentity

log = structlog.get_logger(__name__)


class Goodbyes:
    """Ends sessions in good order."""

    def __init__(
        self,
        state: State,
        gatekeeper: Gatekeeper,
        writes: TaskWrites,
        events: EventSink,
        clock: Clock,
        kick: Callable[[], None],
    ) -> None:
        """``kick`` wakes the loops that look at sessions."""
        self._state = state
        self._gatekeeper = gatekeeper
        self._writes = writes
        self._events = events
        self._clock = clock
        self._kick = kick

    async def goodbye(self, identity: PodIdentity, body: GoodbyeRequest) -> None:
        """The process ends: what it still holds goes back to the queue; no retry is spent."""
        caller = await self._gatekeeper.admit(identity)
        self._gatekeeper.session(caller, body.instance)
        self._state.leave(caller.key)
        held = [
            one for one in self._state.bound_to(caller.key) if one.agent_instance == body.instance
        ]
        for record in held:
            await self._give_back(caller, record)
        log.info("agent said goodbye", agent=str(caller.key), tasks_given_back=len(held))
        self._kick()

    async def _give_back(self, caller: Caller, record: TaskRecord) -> None:
        def back(current: TaskRecord) -> TaskRecord:
            lifecycle.fence(current, record.attempt, caller.pod.uid, record.agent_instance)
            message = f"agent {caller.key.name} stopped before it had finished"
            return lifecycle.requeue(
                current, TaskReason.AGENT_STOPPED, message, counted=False, now=self._clock.now()
            )

        try:
            after = await self._writes.report(record.uid, back)
        except (lifecycle.IllegalTransition, lifecycle.Stale) as error:
            log.info("task was not given back", task=str(record.key), why=str(error))
        except ClusterError as error:
            raise unavailable() from error
        else:
            self._events.emit(attempt_ended(after, "the agent said goodbye"))
