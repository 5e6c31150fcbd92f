"""Carries an input that is not in the Task: fetched before the binding, handed over after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentcorps.api.meta import TaskPhase

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.control.drafts import Draft
    from agentcorps.control.payloads import Payloads
    from agentcorps.core.records import TaskRecord
    from agentcorps.ports import Object


class Courier:
    """Serves one binding; the input is gone with it."""

    def __init__(
        self,
        payloads: Payloads,
        hand_over: Callable[[TaskRecord, Object, dict[str, Any] | None], None],
        refused: Callable[[TaskRecord, Object], None],
    ) -> None:
        self._payloads = payloads
        self._hand_over = hand_over
        self._refused = refused
        self._fetched: dict[str, Any] | None = None

    async def prepare(self, before: TaskRecord, after: TaskRecord) -> Draft:
        """Fetch what the Task needs; see ``drafts.Prepare``."""
        draft, self._fetched = await self._payloads.before_binding(before, after)
        return draft

    def deliver(self, after: TaskRecord, stored: Object) -> None:
        """The binding is written, or the end of a Task that cannot be bound."""
        if after.phase is TaskPhase.RUNNING:
            self._hand_over(after, stored, self._fetched)
        else:
            self._refused(after, stored)
