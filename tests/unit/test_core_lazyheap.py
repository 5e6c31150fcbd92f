"""A priority queue whose items can be moved and taken out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentcorps.core.lazyheap import LazyHeap


def test_a_heap_does_not_keep_what_was_moved() -> None:
    """One item that is moved a thousand times leaves a bounded number of stale entries."""
    heap: LazyHeap[str] = LazyHeap()
    for place in range(1_000):
        heap.put("only", (-place, "only"))
        assert len(heap._heap) <= 67
    first = heap.first()
    assert first is not None
    assert first.rank == (-999, "only")


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9) | st.none()), max_size=300))
def test_a_lazy_heap_is_a_sorted_dictionary(changes: list[tuple[str, int | None]]) -> None:
    """Put, moved and discarded items come out in order."""
    heap: LazyHeap[str] = LazyHeap()
    model: dict[str, tuple[int, str]] = {}
    for item, place in changes:
        if place is None:
            heap.discard(item)
            model.pop(item, None)
        else:
            heap.put(item, (place, item))
            model[item] = (place, item)
        first = heap.first()
        assert (None if first is None else first.rank) == min(model.values(), default=None)
    assert [entry.rank for entry in heap.firsts(3)] == sorted(model.values())[:3]
    popped = []
    while (entry := heap.pop()) is not None:
        popped.append(entry.rank)
    assert popped == sorted(model.values())
