"""Items that wait in lanes and are taken from one lane after the other."""

from __future__ import annotations

from typing import Generic, TypeVar

Item = TypeVar("Item")


class Rounds(Generic[Item]):
    """Lanes of named items, none of which holds up the others. All in O(1).

    A lane that comes anew is last in the round. Within a lane items keep the order in which their
    names came; of one name the latest item counts.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, dict[str, Item]] = {}

    def __bool__(self) -> bool:
        return bool(self._lanes)

    def put(self, lane: str, name: str, item: Item) -> None:
        """Let an item wait, or take the place of the one of its name."""
        self._lanes.setdefault(lane, {})[name] = item

    def take(self) -> tuple[str, Item]:
        """Take the next item: the first of the lane whose turn it is.

        Raises:
            StopIteration: None waits.
        """
        lane = next(iter(self._lanes))
        items = self._lanes.pop(lane)
        name = next(iter(items))
        item = items.pop(name)
        if items:
            self._lanes[lane] = items
        return name, item
