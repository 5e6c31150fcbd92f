"""The models: what the API server stored becomes a model, or one clear line."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agentcorps.api.meta import ApiModel, Condition, ConditionStatus, TaskPhase, format_timestamp
from agentcorps.api.task import Task
from agentcorps.api.validation import (
    MAX_PROBLEMS,
    InvalidObject,
    parse_agent,
    parse_pool,
    parse_task,
)
from support import objects

CANARY = "4111-1111-1111-1111"


def problem(parse: Callable[[Any], ApiModel], obj: Any) -> InvalidObject:
    """Return the error of an object that must not parse."""
    with pytest.raises(InvalidObject) as caught:
        parse(obj)
    return caught.value


def refusal(obj: Any) -> InvalidObject | None:
    """Return why an object is no Task; None for one that is."""
    try:
        parse_task(obj)
    except InvalidObject as error:
        return error
    return None


def test_defaults_are_those_of_the_schema() -> None:
    """An object without optional fields has the documented defaults and waits in the queue."""
    task = parse_task(objects.task())
    assert (task.spec.requires, task.spec.priority, task.spec.cancel) == ((), 0, False)
    left_to_the_pool = (task.spec.timeout_seconds, task.spec.retry)
    assert (*left_to_the_pool, task.spec.ttl_seconds_after_finished) == (None, None, None)
    assert task.status.phase is TaskPhase.QUEUED
    agent = parse_agent(objects.agent())
    assert (agent.spec.slots, agent.spec.health.heartbeat_seconds) == (1, 5)
    pool = parse_pool(objects.pool())
    assert (pool.spec.replicas, pool.spec.drain_timeout_seconds) == (0, 300)
    assert (pool.spec.tasks.max_queued, pool.spec.tasks.history_limit) == (100_000, 1000)


@pytest.mark.parametrize("where", ["metadata", "spec", "status"])
def test_fields_of_other_versions_are_passed_over(where: str) -> None:
    """A stored field that the models do not know does not make the object unreadable."""
    obj = objects.task()
    obj[where] = {**obj.get(where, {}), "fromTheFuture": {"a": 1}}
    assert parse_task(obj) == parse_task(objects.task())


def test_unknown_arguments_are_refused_in_code() -> None:
    """A misspelt field is an error where our own code makes an object."""
    with pytest.raises(ValidationError, match="timeout_second"):
        Task.model_validate(objects.task(timeout_second=1))


@pytest.mark.parametrize(
    ("spec", "path", "text"),
    [
        ({"retry": {"limit": 10**6}}, "spec.retry.limit", "must be at most 100"),
        ({"timeoutSeconds": "60"}, "spec.timeoutSeconds", "must be an integer"),
        ({"cancel": "yes"}, "spec.cancel", "must be true or false"),
        ({"input": ["x"]}, "spec.input", "must be an object"),
        ({"requires": "x"}, "spec.requires", "must be a list"),
        ({"requires": ["a", 1]}, "spec.requires[1]", "must be a string"),
        ({"pool": ""}, "spec.pool", "must have at least 1 characters"),
    ],
)
def test_problems_name_path_and_rule(spec: dict[str, Any], path: str, text: str) -> None:
    """A field that does not fit is named with the rule that it breaks."""
    error = problem(parse_task, objects.task(**spec))
    assert error.path == path
    assert error.message == f"{path}: {text}"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ({}, "spec is missing"),
        ({"spec": {"containers": []}}, "spec.containers must list at least one container"),
        (objects.pod_template(image=None), "spec.containers[0].image is missing"),
        (objects.pod_template(image=7), "spec.containers[0].image is missing"),
        ({**objects.pod_template(), "metadata": []}, "metadata must be an object"),
    ],
)
def test_pod_templates_without_a_usable_container_are_named(
    template: dict[str, Any], text: str
) -> None:
    """What no pod can be made from is said with its place in the template."""
    error = problem(parse_agent, objects.agent(podTemplate=template))
    assert error.message == f"spec.podTemplate: {text}"


@pytest.mark.parametrize("stamp", [CANARY, "2026-02-30T00:00:00Z", "2026-01-01T00:00:00", 5])
def test_bad_times_are_named(stamp: Any) -> None:
    """A time without a zone, or none at all, is an error of its field and not a crash."""
    error = problem(parse_task, {**objects.task(), "status": {"startedAt": stamp}})
    assert error.path == "status.startedAt"
    assert CANARY not in error.message


def test_many_problems_make_one_short_line() -> None:
    """However broken an object is, its error is one line that counts what it leaves out."""
    status: dict[str, Any] = {"attempts": [{} for _ in range(9)]}
    error = problem(parse_task, {**objects.task(), "status": status})
    assert error.message.count("is missing") <= MAX_PROBLEMS
    assert error.message.endswith("more")
    assert "\n" not in error.message


@given(
    st.recursive(
        st.just(CANARY) | st.integers() | st.none(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    st.sampled_from(["input", "requires", "retry", "priority", "timeoutSeconds", "pool", "cancel"]),
)
def test_errors_never_hold_values(value: Any, field: str) -> None:
    """Whatever stands in a field, an error names the field and never repeats the value."""
    error = refusal(objects.task(**{field: value}))
    if error is not None:
        assert CANARY not in f"{error}{error.path}{error!r}"
        assert error.__context__ is None


def test_keys_in_errors_are_clipped_and_printable() -> None:
    """A key of a map, which is the user's text too, cannot break or flood a log line."""
    labels = {"a\nb" + "c" * 500: 1}
    error = problem(parse_task, {**objects.task(), "metadata": {"name": "x", "labels": labels}})
    assert "\n" not in error.message
    assert len(error.message) < 200


@pytest.mark.parametrize("obj", [{}, {"spec": 1}, {"metadata": None}, {"status": []}])
def test_fragments_are_errors_not_crashes(obj: dict[str, Any]) -> None:
    """An object without its main parts is an InvalidObject for every kind."""
    for parse in (parse_agent, parse_pool, parse_task):
        assert problem(parse, obj).path


def test_json_of_the_user_survives_unchanged() -> None:
    """Nulls in an input, and everything else in it, come out as they went in."""
    value = {"a": None, "b": [None, {"c": None}], "d": 1.5}
    task = parse_task({**objects.task(input=value), "status": {"result": value}})
    written = json.loads(json.dumps(task.to_api()))
    assert written["spec"]["input"] == value
    assert written["status"]["result"] == value
    assert "ttlSecondsAfterFinished" not in written["spec"]


def test_written_objects_read_as_the_same() -> None:
    """Writing and reading an object gives the same object, with the keys in their usual order."""
    condition = Condition(
        type="Ready",
        status=ConditionStatus.TRUE,
        reason="Idle",
        last_transition_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    task = parse_task({**objects.task(), "status": {"podUID": "u"}})
    task = task.model_copy(
        update={"status": task.status.model_copy(update={"conditions": (condition,)})}
    )
    written = task.to_api()
    assert list(written) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert written["metadata"] == {"name": "first"}
    assert written["status"]["podUID"] == "u"
    assert parse_task(written) == task


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001 -- hypothesis wants naive bounds
def test_times_survive(moment: datetime) -> None:
    """A time is written in UTC with a Z and read back to the microsecond."""
    text = format_timestamp(moment)
    assert text.endswith("Z")
    stored = parse_task({**objects.task(), "status": {"startedAt": text}})
    assert stored.status.started_at == moment


def test_other_zones_are_written_in_utc() -> None:
    """A reader sees one zone only."""
    moment = datetime.fromisoformat("2026-01-01T01:00:00+01:00")
    assert format_timestamp(moment) == "2026-01-01T00:00:00Z"
    assert moment.utcoffset() == timedelta(hours=1)


def test_models_are_immutable() -> None:
    """A model that the state holds cannot be changed behind its back."""
    task = parse_task(objects.task())
    with pytest.raises(ValidationError, match="frozen"):
        task.spec.priority = 5  # type: ignore[misc]


@pytest.mark.parametrize("phase", list(TaskPhase))
def test_four_phases_are_terminal(phase: TaskPhase) -> None:
    """Queued and Running Tasks go on; all others have ended."""
    assert phase.is_terminal is (phase.value not in {"Queued", "Running"})
