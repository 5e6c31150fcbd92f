"""Whose turn it is: round-robin over namespaces, and within each over targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.lazyheap import LazyHeap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentcorps.core.records import Target


class Turns:
    """Targets with a task that could be bound now, in the order of their turns; O(log n).

    Everybody is numbered by the binding that served it last. Who comes anew is numbered by the
    latest binding: it neither overtakes those that have been waiting for their turn, nor pays for
    the time when it had nothing to do.
    """

    def __init__(self) -> None:
        self._latest = 0
        self._namespaces: LazyHeap[str] = LazyHeap()
        self._targets: dict[str, LazyHeap[Target]] = {}

    def __contains__(self, target: Target) -> bool:
        return target in self._targets.get(target.namespace, ())

    def enter(self, target: Target) -> None:
        """A task for this target could be bound now."""
        namespace = target.namespace
        targets = self._targets.get(namespace)
        if targets is None:
            targets = self._targets[namespace] = LazyHeap()
            self._namespaces.put(namespace, (self._latest, namespace))
        if target not in targets:
            targets.put(target, (self._latest, target))

    def leave(self, target: Target) -> None:
        """None could any more."""
        targets = self._targets.get(target.namespace)
        if targets is None:
            return
        targets.discard(target)
        if not targets:
            del self._targets[target.namespace]
            self._namespaces.discard(target.namespace)

    def served(self, namespace: str, targets: Iterable[Target]) -> None:
        """A binding has begun that counts as the turn of these targets of a namespace."""
        waiting = self._targets.get(namespace)
        if waiting is None:
            return
        self._latest += 1
        self._namespaces.put(namespace, (self._latest, namespace))
        for target in targets:
            if target in waiting:
                waiting.put(target, (self._latest, target))

    def first(self) -> Target | None:
        """Whose turn it is; None when nothing can be bound."""
        namespace = self._namespaces.first()
        if namespace is None:
            return None
        target = self._targets[namespace.item].first()
        return None if target is None else target.item
