"""From the API server's JSON to records, and back to a status."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentcorps.api.meta import AgentPhase, TaskPhase
from agentcorps.api.validation import parse_task
from agentcorps.core import lifecycle, wire
from agentcorps.core.digest import canonical_digest
from agentcorps.core.records import Key, Limits, Now, Target, TaskRecord
from support.kstatus import kstatus
from support.strategies import BIG, NOW, a_seat, a_task, bound, json_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

METADATA = {
    "uid": "some-uid",
    "name": "crew-0",
    "namespace": "east",
    "resourceVersion": "42",
    "generation": 3,
    "creationTimestamp": "2026-11-23T07:42:00Z",
}
CREATED = 1_795_419_720.0
TEMPLATE = {"spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}
AGENT_SPEC = {"capabilities": ["sum"], "slots": 2, "podTemplate": TEMPLATE}
TASK: dict[str, Any] = {
    "metadata": METADATA,
    "spec": {
        "pool": "crew",
        "requires": ["sum"],
        "input": {"text": "Grüße"},
        "priority": 5,
        "timeoutSeconds": 30,
        "retry": {"limit": 1},
        "ttlSecondsAfterFinished": 60,
    },
}
POD: dict[str, Any] = {
    "metadata": METADATA
    | {
        "labels": {"agentcorps.dev/agent": "crew-0"},
        "ownerReferences": [{"uid": "agent-uid", "name": "crew-0", "controller": True}],
    },
    "spec": {"nodeName": "node-1"},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"restartCount": 2, "state": {"running": {}}}],
    },
}
AGENT: dict[str, Any] = {
    "metadata": METADATA
    | {
        "ownerReferences": [
            {
                "apiVersion": "agentcorps.dev/v1alpha1",
                "kind": "AgentPool",
                "name": "crew",
                "uid": "pool-uid",
                "controller": True,
            }
        ]
    },
    "spec": AGENT_SPEC,
    "status": {
        "phase": "Draining",
        "conditions": [
            {"type": "Draining", "status": "True", "lastTransitionTime": "2026-11-23T08:00:00Z"}
        ],
    },
}
POOL: dict[str, Any] = {
    "metadata": METADATA | {"name": "crew"},
    "spec": {"replicas": 4, "template": {"spec": AGENT_SPEC}},
}
READERS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "task": (wire.task_record, TASK | {"status": {"attempts": [{}], "progress": {}}}),
    "pod": (wire.pod_record, POD),
    "agent": (wire.agent_record, AGENT),
    "pool": (wire.pool_record, POOL),
}


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places inside a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else ()
    for key, item in inner:
        yield from _paths(item, (*path, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, (*path, index))


def _with(obj: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of an object with another value in one place."""
    changed = copy.deepcopy(obj)
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def _with_status(record: TaskRecord, status: dict[str, Any]) -> TaskRecord:
    """What another operator reads of a Task with this status."""
    metadata = METADATA | {"creationTimestamp": "2027-01-15T07:59:00Z"}
    return replace(
        wire.task_record({"metadata": metadata, "spec": {"pool": "crew"}, "status": status}),
        uid=record.uid,
        key=record.key,
        resource_version=record.resource_version,
        generation=record.generation,
        input_bytes=record.input_bytes,
    )


STEPS: dict[str, Callable[[TaskRecord, Now], TaskRecord]] = {
    "explain": lambda task, _: lifecycle.explain(task, "PoolNotFound", "there is no pool"),
    "bind": lambda task, now: bound(task, a_seat(), now),
    "progress": lambda task, _: lifecycle.progress(task, 50, "half way"),
    "lose": lambda task, now: lifecycle.requeue(task, "AgentLost", "?", counted=True, now=now),
    "succeed": lifecycle.succeed,
    "fail": lambda task, now: lifecycle.fail(task, "AgentError", "no", now),
    "cancel": lifecycle.cancel,
}
HISTORIES = st.lists(st.sampled_from([*STEPS, *["bind"] * 3]), max_size=12)


def _after(names: list[str]) -> TaskRecord:
    """A Task after these steps, as far as they are legal."""
    record = a_task()
    for step, name in enumerate(names, start=1):
        try:
            record = STEPS[name](record, Now(NOW.monotonic + step, NOW.wall + step))
        except lifecycle.IllegalTransition:
            continue
    return record


@settings(max_examples=300)
@given(HISTORIES)
def test_a_status_is_read_as_it_was_written(names: list[str]) -> None:
    """Whatever a Task went through, its status tells all of it to the next operator."""
    record = _after(names)
    if record.observed_generation < 0:
        return
    assert _with_status(record, wire.task_status(record)) == record


@settings(max_examples=200)
@given(HISTORIES)
def test_a_written_status_fits_the_api(names: list[str]) -> None:
    """The API's own model of a Task takes every status that is written."""
    record = _after(names)
    written = {"metadata": {}, "spec": {"pool": "crew"}, "status": wire.task_status(record)}
    status = parse_task(written).status
    assert (status.phase, status.attempt) == (record.phase, record.attempt)


@settings(max_examples=200)
@given(HISTORIES)
def test_conditions_are_what_kstatus_reads(names: list[str]) -> None:
    """A Task is reconciling until it ends, then either ready or stalled, never two of them."""
    record = _after(names)
    status = wire.task_status(record)
    values = {entry["type"]: entry["status"] for entry in status["conditions"]}
    good = record.phase is TaskPhase.SUCCEEDED
    if not record.terminal:
        assert values == {"Ready": "False", "Reconciling": "True"}
    elif good:
        assert values == {"Ready": "True", "Succeeded": "True"}
    else:
        assert values == {"Ready": "False", "Stalled": "True", "Succeeded": "False"}
    assert all(entry["reason"] for entry in status["conditions"])
    wanted = ("Current" if good else "Failed") if record.terminal else "InProgress"
    assert kstatus(status) == wanted


def test_a_transition_time_moves_only_with_its_status() -> None:
    """Ready of a failed Task has been False all along; Stalled is True since the end."""
    running = bound(a_task(), a_seat())
    failed = lifecycle.fail(running, "AgentError", "no", Now(0.0, NOW.wall + 9))
    times = {
        entry["type"]: entry["lastTransitionTime"]
        for entry in wire.task_status(failed)["conditions"]
    }
    assert times["Ready"] == "2027-01-15T07:59:00Z"
    assert times["Stalled"] == times["Succeeded"] == "2027-01-15T08:00:09Z"


@settings(max_examples=500)
@given(st.data())
def test_a_malformed_object_is_refused_or_read(data: st.DataObject) -> None:
    """Any value in any place of an object is either read or refused as Malformed."""
    read, obj = READERS[data.draw(st.sampled_from(list(READERS)))]
    path = data.draw(st.sampled_from([path for path in _paths(obj) if path]))
    broken = _with(obj, path, data.draw(json_values))
    with suppress(wire.Malformed):
        read(broken)


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("metadata", "uid"), None, "metadata.uid is missing"),
        (("metadata", "name"), 3, "metadata.name must be a string"),
        (
            ("metadata", "resourceVersion"),
            "9" * 5_000,
            "metadata.resourceVersion must be a decimal",
        ),
        (("metadata", "resourceVersion"), "x1", "metadata.resourceVersion must be a decimal"),
        (("metadata", "creationTimestamp"), "soon", "metadata.creationTimestamp must be an RFC"),
        (("status",), [], "status must be an object"),
        (("status",), {"phase": "Lost"}, "status.phase is not a phase of a Task"),
        (("status",), {"attempt": -1}, "status.attempt must be at least 0"),
    ],
)
def test_a_malformed_task_is_refused_with_the_field(
    path: tuple[str, ...], value: object, told: str
) -> None:
    """Metadata or a status that cannot be read is refused, and the error names the field."""
    with pytest.raises(wire.Malformed, match=told):
        wire.task_record(_with(TASK, path, value))


def _deep(depth: int) -> dict[str, Any]:
    """An object within an object within an object, and so on."""
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("pool", None, "spec must have either pool or agentSelector"),
        ("agentSelector", {}, "spec must have either pool or agentSelector"),
        ("input", ["secret"], "spec.input must be an object"),
        ("input", {"secret": float("nan")}, "spec.input is not JSON"),
        ("input", _deep(5_000), "spec.input is nested too deeply"),
        ("requires", "sum", "spec.requires must be a list of strings"),
        ("timeoutSeconds", 0, "spec.timeoutSeconds must be at least 1"),
        ("priority", True, "spec.priority must be an integer"),
        ("cancel", "yes", "spec.cancel must be true or false"),
        ("retry", {"limit": "3"}, "spec.retry.limit must be an integer"),
    ],
)
def test_a_spec_that_cannot_be_used_is_told(field: str, value: object, told: str) -> None:
    """A Task with an unusable spec is still known, with what is wrong and without its input."""
    record = wire.task_record(
        {"metadata": METADATA, "spec": TASK["spec"] | {field: value}, "status": {}}
    )
    assert record.invalid == told
    assert record.key == Key("east", "crew-0")


def test_a_task_is_read() -> None:
    """Every field of a Task's spec arrives in its record; the input only as its size."""
    record = wire.task_record(TASK)
    assert record == a_task(
        uid="some-uid",
        key=Key("east", "crew-0"),
        resource_version=42,
        generation=3,
        created=CREATED,
        requires=frozenset({"sum"}),
        priority=5,
        timeout_seconds=30,
        retry_limit=1,
        ttl_seconds=60,
        input_bytes=len('{"text":"Grüße"}'.encode()),
        own=Limits(timeout_seconds=30, retry_limit=1, ttl_seconds=60),
    )


def test_fractions_of_a_second_are_read() -> None:
    """Times with microseconds or with another zone are understood."""
    status = {"startedAt": "2026-11-23T08:42:00.250000+01:00"}
    assert wire.task_record(TASK | {"status": status}).started_at == CREATED + 0.25


def test_a_pod_is_read() -> None:
    """A running pod: its agent, owner, node, readiness and restarts."""
    record = wire.pod_record(POD)
    assert (record.agent_name, record.owner_uid) == ("crew-0", "agent-uid")
    assert (record.phase, record.ready, record.restarts) == ("Running", True, 2)
    assert (record.node_name, record.waiting_reason) == ("node-1", "")
    assert not record.deleting
    assert not record.terminated


def _waiting(reason: str) -> dict[str, Any]:
    """Status of a pod whose container waits."""
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason}}}]}


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]},
            "ErrImagePull",
        ),
        (_waiting("ContainerCreating"), ""),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                ]
            },
            "Unschedulable",
        ),
    ],
    ids=["image", "starting", "scheduler"],
)
def test_what_a_pod_waits_for_is_read(status: dict[str, Any], reason: str) -> None:
    """Trouble of a container or of the scheduler is told, a normal start is none."""
    assert wire.pod_record(POD | {"status": status}).waiting_reason == reason


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_ended_is_terminated(phase: str) -> None:
    """Only these pod phases say that no container will ever run again."""
    assert wire.pod_record(POD | {"status": {"phase": phase}}).terminated
    assert not wire.pod_record(POD | {"status": {"phase": "Unknown"}}).terminated


def test_an_agent_is_read() -> None:
    """An Agent of a pool that drains: owner, capabilities, and since when it drains."""
    record = wire.agent_record(AGENT)
    assert (record.pool, record.pool_uid) == ("crew", "pool-uid")
    assert (record.capabilities, record.slots) == (frozenset({"sum"}), 2)
    assert (record.phase, record.invalid) == (AgentPhase.DRAINING, "")
    assert record.draining_since == CREATED + 18 * 60
    assert record.pod_template == TEMPLATE


def test_an_agent_of_a_foreign_controller_stands_alone() -> None:
    """Only an AgentPool of our own API group makes an Agent part of a pool."""
    owner = AGENT["metadata"]["ownerReferences"][0] | {"apiVersion": "other.dev/v1"}
    foreign = AGENT | {"metadata": AGENT["metadata"] | {"ownerReferences": [owner]}}
    assert wire.agent_record(foreign).pool == ""


def test_agents_of_a_pool_share_its_template_hash() -> None:
    """A pool and an Agent made from its template have the same hash, others another one."""
    pool, agent = wire.pool_record(POOL), wire.agent_record(AGENT)
    assert pool.template_hash == agent.template_hash
    other = AGENT | {"spec": AGENT_SPEC | {"slots": 3}}
    assert wire.agent_record(other).template_hash != pool.template_hash
    assert (pool.replicas, pool.drain_timeout_seconds) == (4, 300)


@pytest.mark.parametrize(
    ("read", "obj", "told"),
    [
        (wire.agent_record, AGENT, "spec.slots: must be an integer"),
        (wire.pool_record, POOL, "spec.template.spec.slots: must be an integer"),
    ],
)
def test_an_unusable_agent_or_pool_is_told(
    read: Callable[[Any], Any], obj: dict[str, Any], told: str
) -> None:
    """A spec that does not fit its model stands in the record with the path of the problem."""
    spec = AGENT_SPEC | {"slots": "two"}
    broken = obj | {"spec": spec if obj is AGENT else {"template": {"spec": spec}}}
    assert read(broken).invalid == told


@pytest.mark.parametrize("result", [None, {"a": 1}, [], "text"])
def test_a_result_stands_in_the_status_with_its_digest(result: object) -> None:
    """Any JSON value is a result, None and empty ones too."""
    done = lifecycle.succeed(bound(a_task(), a_seat()), NOW)
    status = wire.task_status(done, result)
    assert status["result"] == result
    assert status["resultDigest"] == canonical_digest(result)
    assert "result" not in wire.task_status(done)


def test_a_selector_stands_instead_of_a_pool() -> None:
    """A Task with an agentSelector is for the agents that it matches, and counts for no pool."""
    spec = {"agentSelector": {"matchLabels": {"size": "big"}}, "affinityKey": "session-4"}
    record = wire.task_record({"metadata": METADATA, "spec": spec, "status": {}})
    assert (record.invalid, record.pool, record.affinity_key) == ("", "", "session-4")
    assert record.target == Target(record.key.namespace, "", BIG)
