"""Writes that can wait a moment: begun a few at a time, so that they hold up no binding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.rounds import Rounds

if TYPE_CHECKING:
    from agentcorps.control.apply import TaskApplier
    from agentcorps.core.actions import TaskAction


class Backlog:
    """Actions on Tasks, at most one per Task (the latest), from each namespace in turn.

    What has not begun is not assumed either: meanwhile the Task may be bound, or end otherwise.
    When it begins, the action is judged against the Task as it is then.
    """

    def __init__(self, applier: TaskApplier, most: int) -> None:
        """At most ``most`` of them are under way at a time."""
        self._applier = applier
        self._most = most
        self._waiting: Rounds[TaskAction] = Rounds()
        self._begun: set[str] = set()

    def add(self, namespace: str, action: TaskAction) -> None:
        """Have an action on a Task of a namespace carried out soon."""
        self._waiting.put(namespace, action.task_uid, action)

    def begin(self) -> None:
        """Begin what there is room for."""
        self._begun = {uid for uid in self._begun if self._applier.works_on(uid)}
        while self._waiting and len(self._begun) < self._most:
            uid, action = self._waiting.take()
            self._applier.start(action)
            if self._applier.works_on(uid):
                self._begun.add(uid)
