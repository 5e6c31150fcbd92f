"""Limits of a Task: its own, its pool's, and the built-in ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.meta import RetryReason
from agentcorps.api.task import Retry, TaskDefaults, TaskSpec
from agentcorps.api.validation import parse
from agentcorps.core import lifecycle
from agentcorps.core.defaults import adopt, effective, limits_of, to_api
from agentcorps.core.fields import Malformed
from agentcorps.core.records import UNSET, Limits, PoolRecord, TaskRecord
from agentcorps.core.task_status import task_status
from agentcorps.core.wire import task_record
from support.strategies import NOW, a_pool, a_seat, a_task, bound

seconds = st.none() | st.integers(1, 1000)
limits = st.builds(
    Limits,
    timeout_seconds=seconds,
    retry_limit=st.none() | st.integers(0, 100),
    backoff_seconds=st.none() | st.integers(0, 500),
    max_backoff_seconds=st.none() | st.integers(500, 1000),
    retry_reasons=st.none() | st.frozensets(st.sampled_from([*map(str, RetryReason)])),
    ttl_seconds=st.none() | st.integers(0, 1000),
)
BUILT_IN: dict[str, Any] = {
    "timeout_seconds": 600,
    "retry_limit": 2,
    "backoff_seconds": 5,
    "max_backoff_seconds": 300,
    "retry_reasons": frozenset(RetryReason),
    "ttl_seconds": None,
}
FIELDS = [*BUILT_IN]
METADATA = {
    "namespace": "east",
    "name": "task-0",
    "uid": "task-uid-0",
    "generation": 1,
    "resourceVersion": "101",
    "creationTimestamp": "2026-11-23T08:00:00Z",
}


def a_task_with(own: Limits) -> TaskRecord:
    """Return a waiting Task whose spec sets these limits."""
    return a_task(own=own, **effective(own, UNSET))


@given(limits, limits)
def test_own_goes_before_inherited_and_that_before_built_in(own: Limits, pool: Limits) -> None:
    """Each limit for itself is the first that is set of: the Task's, the pool's, the built-in."""
    held = effective(own, pool)
    for name in FIELDS:
        candidates = (getattr(own, name), getattr(pool, name), BUILT_IN[name])
        first = next((one for one in candidates if one is not None), None)
        if name == "max_backoff_seconds" and own.max_backoff_seconds is None:
            first = max(first or 0, own.backoff_seconds or 0)
        assert held[name] == first


@given(limits)
def test_what_is_told_is_read_back(told: Limits) -> None:
    """status.poolDefaults, as the API has it, gives the same limits again."""
    written = to_api(told)
    parse(TaskDefaults, written, forbid_unknown=True)
    assert limits_of(written, "status.poolDefaults") == told


@given(limits, limits)
def test_a_binding_fixes_what_was_inherited(own: Limits, pool: Limits) -> None:
    """A bound Task holds the pool's values of that moment, whatever becomes of the pool."""
    waiting = adopt(a_task_with(own), a_pool(task_defaults=pool))
    running = bound(waiting, a_seat())
    stored = {
        "metadata": METADATA,
        "spec": {"pool": "crew", **to_api(own)},
        "status": task_status(running),
    }
    read = task_record(stored)
    assert {name: getattr(read, name) for name in FIELDS} == effective(own, pool)
    assert adopt(read, a_pool(task_defaults=Limits(timeout_seconds=1))) == read
    for name in FIELDS:
        assert getattr(own, name) is None or getattr(read.inherited, name) is None


@given(limits, limits, limits)
def test_a_later_attempt_has_what_the_pool_says_then(
    own: Limits, first: Limits, second: Limits
) -> None:
    """A Task that waits again takes the defaults anew, and nothing of the earlier ones is left."""
    again = replace(adopt(a_task_with(own), a_pool(task_defaults=first)), resource_version=500)
    assert adopt(again, a_pool(task_defaults=second)) == replace(
        adopt(a_task_with(own), a_pool(task_defaults=second)), resource_version=500
    )


@pytest.mark.parametrize(
    "pool", [None, a_pool(task_defaults=Limits(retry_limit=9), invalid="spec: is missing")]
)
def test_without_a_readable_pool_nothing_changes(pool: PoolRecord | None) -> None:
    """A pool that is gone, or cannot be read, takes nothing away from a Task."""
    tried = adopt(a_task(), a_pool(task_defaults=Limits(timeout_seconds=30)))
    assert adopt(tried, pool) == tried
    assert tried.timeout_seconds == 30


def test_the_end_of_an_attempt_keeps_what_was_inherited() -> None:
    """Whether a Task is tried again is decided by the limits that its attempt ran under."""
    running = bound(adopt(a_task(), a_pool(task_defaults=Limits(retry_limit=0))), a_seat())
    ended = lifecycle.requeue(running, "AgentLost", "", counted=True, now=NOW)
    assert (ended.phase, ended.inherited) == ("Failed", Limits(retry_limit=0))


def test_a_limit_that_cannot_be_read_is_told_with_its_path() -> None:
    """What is wrong is named by its field, never by its value."""
    with pytest.raises(Malformed, match=r"^spec\.retry\.limit must be an integer$"):
        limits_of({"retry": {"limit": "three"}}, "spec")


def test_a_bare_task_has_the_built_in_values() -> None:
    """What neither a spec nor its pool says is as the field's text in the API promises."""
    record = task_record({"metadata": METADATA, "spec": {"pool": "crew"}})
    texts = {
        name: str(field.description)
        for model in (TaskSpec, Retry)
        for name, field in model.model_fields.items()
    }
    assert texts["timeout_seconds"].endswith(f"else {record.timeout_seconds}.")
    assert texts["limit"].endswith(f"else {record.retry_limit}.")
    assert texts["backoff_seconds"].endswith(f"else {record.backoff_seconds}.")
    assert f"else {record.max_backoff_seconds}," in texts["max_backoff_seconds"]
    assert record.retry_reasons == set(RetryReason)
    assert (record.ttl_seconds, record.queue_timeout_seconds) == (None, None)
    assert (record.phase, record.observed_generation) == ("Queued", -1)
