"""What holds for every autoscaler, load and history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.autoscaling.behavior import Change, deepest_fall, highest_rise
from agentcorps.core.autoscaling.decision import decide
from agentcorps.core.autoscaling.history import begin
from agentcorps.core.autoscaling.load import Load
from agentcorps.core.gauges import Metric, Reading
from agentcorps.core.records import Now
from support.scalings import CALM, EPOCH, PROMETHEUS, scaling

if TYPE_CHECKING:
    from agentcorps.api.scaling import Scaling

readings = st.builds(
    Reading, st.floats(0, 1e6), ready=st.integers(0, 500), target=st.integers(0, 500)
)
metrics = st.builds(Metric, st.none() | readings) | st.builds(
    Metric, st.none() | readings, st.integers(1, 9), st.just("it is down")
)
loads = st.builds(
    Load,
    queued=st.integers(0, 500),
    running=st.integers(0, 500),
    slots=st.integers(1, 8),
    agents=st.integers(0, 500),
    busy=st.integers(0, 500),
    ready=st.integers(0, 500),
    service_seconds=st.none() | st.floats(0, 1e4),
    metrics=st.fixed_dictionaries({2: metrics}),
)
rates = st.builds(
    lambda kind, value, seconds: {"type": kind, "value": value, "periodSeconds": seconds},
    st.sampled_from(["Pods", "Percent"]),
    st.integers(1, 200),
    st.integers(1, 120),
)
rules = st.fixed_dictionaries(
    {},
    optional={
        "stabilizationWindowSeconds": st.integers(0, 100),
        "selectPolicy": st.sampled_from(["Max", "Min", "Disabled"]),
        "policies": st.lists(rates, min_size=1, max_size=3),
    },
)


@st.composite
def scalings(draw: st.DrawFn, /, **more: Any) -> Scaling:
    """Some `spec.scaling` without pauses."""
    low, high = sorted(draw(st.tuples(st.integers(0, 300), st.integers(1, 300))))
    return scaling(
        minReplicas=low,
        maxReplicas=max(high, 1),
        idle=draw(st.integers(0, 20) | st.sampled_from(["1%", "50%", "99%"])),
        policies=[
            {"type": "Tasks", "tasksPerAgent": draw(st.integers(1, 5))},
            {"type": "Tasks", "maxWaitSeconds": draw(st.integers(1, 1000))},
            *draw(st.sampled_from([[], [PROMETHEUS]])),
        ],
        behavior={"scaleUp": draw(rules), "scaleDown": draw(rules)},
        **more,
    )


steps = st.lists(st.tuples(st.floats(0, 60), loads), min_size=1, max_size=12)


def walk(spec: Scaling, moves: list[tuple[float, Load]], current: int) -> list[tuple[Any, ...]]:
    """Decide along a history; returns (load, before, decision, after, now) of each step."""
    seconds, told = 1000.0, []
    history = begin(current, Now(seconds, EPOCH + seconds))
    for pause, load in moves:
        seconds += pause
        now = Now(seconds, EPOCH + seconds)
        decision, after = decide(spec, load, history, now)
        told.append((load, history, decision, after, now))
        history = after
    return told


@given(spec=scalings(), moves=steps, current=st.integers(0, 300))
def test_targets_stay_within_bounds(
    spec: Scaling, moves: list[tuple[float, Load]], current: int
) -> None:
    """Whatever happens, minReplicas <= target <= maxReplicas."""
    for _, _, decision, _, _ in walk(spec, moves, current):
        assert spec.min_replicas <= decision.target <= spec.max_replicas


@given(spec=scalings(), moves=steps, current=st.integers(0, 300))
def test_deciding_again_decides_the_same(
    spec: Scaling, moves: list[tuple[float, Load]], current: int
) -> None:
    """At the same instant, with the history that it returned, the decision is the same."""
    for load, _, decision, after, now in walk(spec, moves, current):
        again, later = decide(spec, load, after, now)
        assert again.target == decision.target
        assert later == after


@given(spec=scalings(panic={"stableWindowSeconds": 3600}), moves=steps, current=st.integers(0, 300))
def test_no_target_falls_in_a_panic(
    spec: Scaling, moves: list[tuple[float, Load]], current: int
) -> None:
    """From the first excess of demand on, the target only rises (but for maxReplicas)."""
    for _, before, decision, after, _ in walk(spec, moves, current):
        if after.panicked is not None:
            assert decision.target >= min(before.target, spec.max_replicas)


@given(spec=scalings(panic=CALM), moves=steps, current=st.integers(0, 300))
def test_targets_move_within_the_windows(
    spec: Scaling, moves: list[tuple[float, Load]], current: int
) -> None:
    """A fall ends no lower than the highest, a rise no higher than the lowest of its window."""
    asked: list[tuple[float, int]] = [(1000.0, current)]
    for _, before, decision, _, now in walk(spec, moves, current):
        wanted = max(demand.replicas for demand in decision.demands)
        asked.append((now.monotonic, wanted))
        ends = [*(at for at, _ in asked[1:]), now.monotonic]
        down = spec.behavior.scale_down.stabilization_window_seconds
        up = spec.behavior.scale_up.stabilization_window_seconds
        highest = max(
            wanted,
            *(
                value
                for (_, value), end in zip(asked, ends, strict=True)
                if end > now.monotonic - down
            ),
            0,
        )
        lowest = min(
            wanted,
            *(
                value
                for (_, value), end in zip(asked[1:], ends[1:], strict=True)
                if end > now.monotonic - up
            ),
            1000,
        )
        if spec.max_replicas >= before.target > decision.target:
            assert decision.target >= min(highest, spec.max_replicas)
        if spec.min_replicas <= before.target < decision.target and before.target > 0:
            assert decision.target <= lowest


changes = st.lists(st.builds(Change, at=st.floats(0, 100), delta=st.integers(-5, 5)), max_size=8)


@given(
    current=st.integers(0, 100),
    value=st.integers(1, 50),
    period=st.integers(1, 100),
    past=changes,
)
def test_pods_limits_are_exact(current: int, value: int, period: int, past: list[Change]) -> None:
    """A Pods policy allows exactly `value` more or fewer than at the start of its period."""
    spec = scaling(
        behavior={
            way: {"policies": [{"type": "Pods", "value": value, "periodSeconds": period}]}
            for way in ("scaleUp", "scaleDown")
        }
    ).behavior
    start = current - sum(change.delta for change in past if change.at > 100 - period)
    assert highest_rise(current, spec.scale_up, past, 100.0) == max(current, start + value)
    assert deepest_fall(current, spec.scale_down, past, 100.0) == min(current, start - value)
