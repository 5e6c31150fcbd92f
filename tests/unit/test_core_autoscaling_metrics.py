"""Metrics ask for agents as autoscaling/v2 and KEDA have it: table tests and properties."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.metrics import Fallback, MetricTarget
from agentcorps.api.scaling_policy import ScalingPolicy
from agentcorps.core.autoscaling.load import Load
from agentcorps.core.autoscaling.metrics import by_value, fallback_replicas, short
from agentcorps.core.gauges import Gauges, Metric, Reading
from agentcorps.core.metric_sources import (
    ExternalSource,
    PrometheusSource,
    problem,
    source_of,
    sources,
)
from agentcorps.core.records import InputSource
from support.scalings import AT_ONCE, CALM, PROMETHEUS, Pool, metric_policy, scaling

BEHAVIOR = scaling().behavior
DOWN: Metric = Metric(None, 1, "it is down")


def value_target(goal: int | str) -> MetricTarget:
    """Return a target for the metric as a whole."""
    return MetricTarget(type="Value", value=goal)


def average_target(goal: int | str) -> MetricTarget:
    """Return a target for the share of each agent."""
    return MetricTarget(type="AverageValue", average_value=goal)


# Value: ceil(ratio * ready), https://kubernetes.io/docs/tasks/run-application/
# horizontal-pod-autoscale/#algorithm-details: 200m of 100m doubles, 50m of 100m halves.


@pytest.mark.parametrize(
    ("goal", "value", "ready", "target", "expected"),
    [
        ("100m", 0.2, 4, 4, 8),
        ("100m", 0.05, 4, 4, 2),
        (100, 110.0, 5, 5, 5),
        (100, 110.1, 5, 5, 6),
        (100, 90.0, 5, 5, 5),
        (100, 89.9, 5, 5, 5),
        (100, 79.0, 5, 5, 4),
        (100, 250.0, 3, 10, 8),
        (100, 250.0, 0, 0, 3),
        (100, 250.0, 0, 7, 3),
        (100, 0.0, 5, 5, 0),
        (100, -40.0, 5, 5, 0),
        ("0.3", 3.0, 1, 1, 10),
        ("0.1", 0.1 + 0.2, 1, 1, 3),
        ("1k", 5000.0, 1, 1, 5),
        (1, 1e300, 5, 5, 10_000),
    ],
)
def test_a_value_asks_in_proportion(
    goal: int | str, value: float, ready: int, target: int, expected: int
) -> None:
    """Type Value: ceil(ratio * ready), ceil(ratio) without ready agents, or as many within 10 %."""
    asked = by_value(value_target(goal), Reading(value, ready, target), BEHAVIOR)
    assert (asked.replicas, asked.failing) == (expected, False)


@pytest.mark.parametrize(
    ("goal", "value", "ready", "target", "expected"),
    [
        (10, 95.0, 5, 5, 10),
        (10, 95.0, 10, 10, 10),
        (10, 111.0, 10, 10, 12),
        (10, 105.0, 2, 10, 10),
        (10, 0.0, 5, 5, 0),
        (10, 25.0, 0, 0, 3),
    ],
)
def test_an_average_asks_for_its_share(
    goal: int, value: float, ready: int, target: int, expected: int
) -> None:
    """Type AverageValue: ceil(value / target), or as many as there were within 10 %."""
    reading = Reading(value, ready, target)
    assert by_value(average_target(goal), reading, BEHAVIOR).replicas == expected


def test_tolerances_are_those_of_each_direction() -> None:
    """behavior.scaleUp.tolerance bounds what is above the target, scaleDown's what is below."""
    rules = scaling(behavior={"scaleUp": {"tolerance": 0}, "scaleDown": {"tolerance": 0.5}})
    goal = value_target(100)
    assert by_value(goal, Reading(101.0, 5, 5), rules.behavior).replicas == 6
    assert by_value(goal, Reading(50.0, 5, 5), rules.behavior).replicas == 5
    assert by_value(goal, Reading(49.0, 5, 5), rules.behavior).replicas == 3


@pytest.mark.parametrize(
    ("behavior", "current", "expected"),
    [
        ("static", 2, 5),
        ("static", 9, 5),
        ("currentReplicas", 2, 2),
        ("currentReplicas", 9, 9),
        ("currentReplicasIfHigher", 2, 5),
        ("currentReplicasIfHigher", 9, 9),
        ("currentReplicasIfLower", 2, 2),
        ("currentReplicasIfLower", 9, 5),
    ],
)
def test_fallbacks_are_those_of_keda(behavior: Any, current: int, expected: int) -> None:
    """A fallback is its replicas, what there is now, or the higher or lower of the two."""
    assert fallback_replicas(Fallback(replicas=5, behavior=behavior), current) == expected


def metric_pool(current: int = 4, **spec: Any) -> Pool:
    """Return a pool that follows one metric at once."""
    spec = {"behavior": AT_ONCE, "panic": CALM, "policies": [PROMETHEUS], **spec}
    return Pool(current, **spec)


def test_a_metric_that_was_not_read_yet_holds() -> None:
    """After a start or takeover nothing moves before the metric was read, and none fails."""
    decision = metric_pool().decide()
    assert (decision.target, decision.failing) == (4, ())
    assert "not read yet" in decision.message


def test_a_failing_metric_without_fallback_holds() -> None:
    """However long it fails, the target stays, and the decision says which metric and why."""
    pool = metric_pool()
    for failures in (1, 3, 100):
        down = Metric(Reading(0.0, 4, 4), failures, "it is down")
        decision = pool.decide(after=600, metrics={0: down})
        assert decision.target == 4
        assert [(one.policy, one.failing) for one in decision.failing] == [("policies[0]", True)]
        assert "it is down" in decision.failing[0].message


def test_the_fallback_holds_from_the_threshold_on() -> None:
    """Before failureThreshold failures in a row the target stays, then the fallback says."""
    pool = metric_pool(fallback={"failureThreshold": 3, "replicas": 2})
    told = [pool.target(after=30, metrics={0: DOWN._replace(failures=n)}) for n in (1, 2, 3, 4)]
    assert told == [4, 4, 2, 2]
    assert pool.target(after=30, metrics={0: Metric(Reading(300.0, 2, 2))}) == 6


def test_nothing_falls_while_any_metric_fails() -> None:
    """One metric that fails keeps the target, whatever the others ask for; they may raise it."""
    pool = metric_pool(policies=[PROMETHEUS, {"type": "Tasks"}, PROMETHEUS])
    low, down = Metric(Reading(1.0, 4, 4)), DOWN
    assert pool.target(0, after=9, metrics={0: low, 2: down}) == 4
    assert pool.target(7, after=9, metrics={0: low, 2: down}) == 7
    assert pool.target(0, after=9, metrics={0: low, 2: down}) == 7
    assert pool.target(0, after=9, metrics={0: low, 2: low}) == 1


def test_the_highest_of_tasks_and_metrics_wins() -> None:
    """Metrics compete with the other policies, and the reason tells value and target."""
    pool = metric_pool(policies=[{"type": "Tasks"}, PROMETHEUS])
    decision = pool.decide(2, metrics={1: Metric(Reading(300.0, 4, 4))})
    assert (decision.target, decision.reason) == (12, "Prometheus")
    assert decision.message == (
        "policies[1] (Prometheus) asks for 12: 300 of 100, with 4 ready agents"
    )
    assert pool.target(20, metrics={1: Metric(Reading(300.0, 4, 4))}) == 20


def test_agents_that_come_do_not_make_an_old_value_ask_for_more() -> None:
    """A value counts with the agents that it was read with, until it is read again."""
    pool = metric_pool()
    old = Metric(Reading(200.0, 4, 4))
    assert [pool.target(after=1, ready=ready, metrics={0: old}) for ready in (4, 6, 8)] == [8, 8, 8]
    assert pool.target(after=1, ready=8, metrics={0: Metric(Reading(100.0, 8, 8))}) == 8


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (118.4, "118.4"), (12345.6, "12350"), (0.012344, "0.01234"), (-3.0, "-3")],
)
def test_values_are_told_shortly(value: float, text: str) -> None:
    """What people read has four digits that count, so that noise does not change a status."""
    assert short(value) == text


def test_sources_say_whom_to_ask() -> None:
    """Each policy with a metric has a source, by its position, with the defaults written out."""
    full = metric_policy(
        serverAddress="https://prom:9090/",
        authentication={"secretKeyRef": {"name": "prom", "key": "token"}},
        tls={
            "ca": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}},
            "serverName": "prom.local",
        },
        timeoutSeconds=3,
        pollingIntervalSeconds=7,
    )
    external = {
        "type": "External",
        "metric": {"name": "depth", "selector": {"matchLabels": {"queue": "a", "app": "b"}}},
        "target": {"type": "AverageValue", "averageValue": "5"},
    }
    found = sources(scaling(policies=[{"type": "Tasks"}, full, external]))
    assert found == {
        1: PrometheusSource(
            "https://prom:9090",
            "sum(jobs)",
            3,
            7,
            InputSource("Secret", "prom", "token"),
            InputSource("ConfigMap", "ca", "ca.crt"),
            "prom.local",
        ),
        2: ExternalSource("depth", "app=b,queue=a", 10, 30),
    }


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"type": "Prometheus"}, "policies[0]: lacks what a policy of type Prometheus needs"),
        ({"type": "External"}, "policies[0]: lacks what a policy of type External needs"),
        (metric_policy(target={"type": "Value"}), "policies[0].target: has no value for its type"),
        (
            metric_policy(
                serverAddress="http://prom",
                authentication={"secretKeyRef": {"name": "prom", "key": "token"}},
            ),
            "policies[0].authentication: a token is sent over https only",
        ),
    ],
)
def test_what_the_schema_should_have_refused_is_told(policy: dict[str, Any], words: str) -> None:
    """A stored policy that breaks a rule makes the pool invalid instead of surprising anybody."""
    assert problem(scaling(policies=[policy]).policies) == f"spec.scaling.{words}"


def test_gauges_count_failures_in_a_row() -> None:
    """Failures add up until a reading succeeds; the last reading is kept meanwhile."""
    gauges, source, reading = Gauges(), ExternalSource("depth"), Reading(1.0, 1, 1)
    assert gauges.of("uid", source) == Metric()
    gauges.read("uid", source, reading)
    gauges.failed("uid", source, "down")
    gauges.failed("uid", source, "down")
    assert gauges.of("uid", source) == Metric(reading, 2, "down")
    gauges.read("uid", source, reading)
    assert gauges.of("uid", source) == Metric(reading)
    gauges.forget("uid", source)
    assert gauges.of("uid", source) == Metric()


# Properties

readings = st.builds(
    Reading, st.floats(-1e6, 1e9, allow_subnormal=False), st.integers(0, 300), st.integers(0, 300)
)
targets = st.integers(1, 10**6).map(value_target) | st.integers(1, 10**6).map(average_target)
tolerances = st.fixed_dictionaries({"tolerance": st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0])})


@given(target=targets, reading=readings, up=tolerances, down=tolerances)
def test_a_value_asks_for_the_formula_or_for_no_change(
    target: MetricTarget, reading: Reading, up: dict[str, Any], down: dict[str, Any]
) -> None:
    """Outside of the tolerances it is the formula, within them what there was, nothing else."""
    behavior = scaling(behavior={"scaleUp": up, "scaleDown": down}).behavior
    asked = by_value(target, reading, behavior).replicas
    share = reading.value / int(target.value or target.average_value or 1)
    scaled = share * max(1, reading.ready) if target.type == "Value" else share
    formula = {
        min(max(0, ceil(near)), 10_000) for near in (scaled * (1 - 1e-9), scaled * (1 + 1e-9))
    }
    ratio = share if target.type == "Value" else share / max(1, reading.target)
    low, high = 1 - down["tolerance"], 1 + up["tolerance"]
    if reading.target and low + 1e-9 < ratio < high - 1e-9:
        assert asked == reading.target
    elif not reading.target or ratio < low - 1e-9 or ratio > high + 1e-9:
        assert asked in formula
    else:
        assert asked in formula | {reading.target}


@given(target=targets, reading=readings, more=st.floats(0, 1e9))
def test_more_never_asks_for_less(target: MetricTarget, reading: Reading, more: float) -> None:
    """With the same agents a higher value never asks for fewer, but for holding within 10 %."""
    higher = reading._replace(value=reading.value + more)
    asked, then = (by_value(target, one, BEHAVIOR).replicas for one in (reading, higher))
    assert then >= asked or then == reading.target


metrics = st.one_of(
    st.just(Metric()),
    st.builds(Metric, readings),
    st.builds(Metric, st.none() | readings, st.integers(1, 9), st.just("down")),
)
moves = st.lists(
    st.tuples(
        st.floats(0, 400),
        st.builds(
            Load,
            queued=st.integers(0, 200),
            ready=st.integers(0, 200),
            metrics=st.fixed_dictionaries({0: metrics, 2: metrics}),
        ),
    ),
    min_size=1,
    max_size=12,
)
fallbacks = st.none() | st.fixed_dictionaries(
    {
        "failureThreshold": st.integers(1, 5),
        "replicas": st.integers(0, 300),
        "behavior": st.sampled_from(
            ["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"]
        ),
    }
)


@given(moves=moves, fallback=fallbacks, current=st.integers(0, 300))
def test_nothing_falls_before_a_fallback_holds(
    moves: list[tuple[float, Load]], fallback: dict[str, Any] | None, current: int
) -> None:
    """While a metric fails and no fallback stands for it, the target does not fall."""
    average = metric_policy(target={"type": "AverageValue", "averageValue": 20})
    pool = Pool(
        current,
        behavior=AT_ONCE,
        panic=CALM,
        policies=[PROMETHEUS, {"type": "Tasks"}, average],
        **({} if fallback is None else {"fallback": fallback}),
    )
    for pause, load in moves:
        before = pool.history.target
        target = pool.target(after=pause, **load._asdict())
        for one in load.metrics.values():
            waits = fallback is None or one.failures < fallback["failureThreshold"]
            if one.problem and waits:
                assert target >= min(before, pool.scaling.max_replicas)


@pytest.mark.parametrize("policy", ["Tasks", "Schedule"])
def test_other_policies_have_no_source(policy: str) -> None:
    """Nobody is asked for Tasks and Schedules."""
    assert source_of(ScalingPolicy.model_validate({"type": policy})) is None
