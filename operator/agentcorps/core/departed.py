"""What was last seen of pods that are gone, for as long as it can explain the loss of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentcorps.core.records import Key, PodRecord


class Departed:
    """The last records of pods whose tasks have not been taken back yet, by UID."""

    def __init__(self, has_tasks: Callable[[Key], object]) -> None:
        """``has_tasks`` tells whether any task is bound to the agent of a pod."""
        self._pods: dict[str, PodRecord] = {}
        self._has_tasks = has_tasks

    def note(self, pod: PodRecord) -> None:
        """Remember a pod that is gone, and forget those that nobody can ask for any more."""
        self._pods = {uid: old for uid, old in self._pods.items() if self._has_tasks(old.key)}
        if self._has_tasks(pod.key):
            self._pods[pod.uid] = pod

    def get(self, uid: str) -> PodRecord | None:
        """Return what was last seen of a pod; None when it is not known, or not gone."""
        return self._pods.get(uid)
