"""The pure parts of the benchmark: statistics, counters, costs, and the answer made from them."""

import json
import random
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core import wire
from agentcorps.core.lifecycle import bind, succeed
from agentcorps.core.records import Key, Now
from perf.bench import cli, floor, report
from perf.bench.load import poisson, task
from perf.bench.processes import TICKS, Usage, parse_cpu, parse_memory, spent
from perf.bench.requests import mutations, writes_between
from perf.bench.run import Run
from perf.bench.sizes import FULL, QUICK
from perf.bench.stats import bootstrap, percentile

FIGURES = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)
METRICS = """
# TYPE apiserver_request_total counter
apiserver_request_total{code="201",group="agentcorps.dev",resource="tasks",scope="resource",\
subresource="",verb="POST",version="v1alpha1"} 10
apiserver_request_total{code="200",group="agentcorps.dev",resource="tasks",scope="resource",\
subresource="status",verb="PUT",version="v1alpha1"} 1.9e+01
apiserver_request_total{code="409",group="agentcorps.dev",resource="tasks",scope="resource",\
subresource="status",verb="PUT",version="v1alpha1"} 1
apiserver_request_total{code="200",group="",resource="pods",scope="resource",subresource="",\
verb="GET",version="v1"} 70
apiserver_request_total{code="200",group="coordination.k8s.io",resource="leases",\
scope="resource",subresource="",verb="PUT",version="v1"} 7
apiserver_request_total{code="201",group="",resource="serviceaccounts",scope="resource",\
subresource="token",verb="POST",version="v1"} 7
apiserver_request_total{code="201",group="",resource="pods",scope="resource",subresource="",\
verb="POST",version="v1"} 3
"""


@given(FIGURES, st.floats(0, 1))
def test_a_percentile_lies_among_the_values(values: list[float], share: float) -> None:
    """A percentile is between the least and the greatest value."""
    assert min(values) <= percentile(values, share) <= max(values)


def test_percentiles_are_those_of_the_textbook() -> None:
    """Between two values a percentile is interpolated linearly."""
    assert percentile([40, 10, 20, 30], 0.5) == 25
    assert percentile([10, 20], 0.99) == pytest.approx(19.9)


def test_a_percentile_of_nothing_is_refused() -> None:
    """Without values there is no percentile."""
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


@given(FIGURES)
def test_the_interval_is_ordered_and_repeatable(values: list[float]) -> None:
    """The bootstrap interval of the same figures is the same, and lies among them."""
    low, high = bootstrap(values)
    assert (low, high) == bootstrap(values)
    assert min(values) <= low <= high <= max(values)


def test_only_writes_count() -> None:
    """Reads, Leases and tokens are left out; refused writes are not."""
    assert mutations(METRICS) == {"POST tasks": 10, "PUT tasks/status": 20, "POST pods": 3}


def test_the_creates_are_the_clients() -> None:
    """Of what was written to Tasks, the operator's share is all but the creates."""
    before = mutations(METRICS)
    after = mutations(METRICS.replace("1.9e+01", "39").replace('"POST",version="v1"} 3', ""))
    made = writes_between(before, after)
    assert (made.on_tasks, made.elsewhere) == (20, 0)
    assert made.by_kind == {"PUT tasks/status": 20}


def test_cpu_time_is_user_and_system() -> None:
    """CPU seconds are the fields 14 and 15 of stat, whatever the command is called."""
    stat = "7 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 300 200 9 9 20 0 1 0 5 0 0"
    assert parse_cpu(stat) == 500 / TICKS


def test_a_process_that_was_killed_has_no_cost() -> None:
    """A group whose processes are not all there at the end is left out of what was spent."""
    before = {"operator": Usage(5, 1, 1), "agents": Usage(1, 1, 1)}
    assert spent(before, {"agents": Usage(3, 1, 1)}) == {"agents": 2}


def test_memory_is_in_mib() -> None:
    """A memory field is told in MiB, and one that is missing as nothing."""
    status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
    assert (parse_memory(status, "VmHWM"), parse_memory(status, "VmSwap")) == (2, 0)


@given(st.integers(0, 1000))
def test_arrivals_are_repeatable_and_in_time(seed: int) -> None:
    """The same seed gives the same arrivals, none after the end."""
    gaps = poisson(20, 5, seed)
    assert gaps == poisson(20, 5, seed)
    assert sum(gaps) < 5


def test_arrivals_have_the_rate_that_was_asked_for() -> None:
    """Over a long time the mean gap is the inverse of the rate."""
    assert mean(poisson(50, 400, seed=3)) == pytest.approx(1 / 50, rel=0.05)


def test_the_floor_writes_what_the_operator_writes() -> None:
    """The statuses of the floor have the fields and conditions of the operator's own."""
    made = {
        **task("floor-1", floor.CANARY),
        "metadata": {
            "name": "floor-1",
            "namespace": "n",
            "uid": "u",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
    }
    now = Now(1.0, 1_800_000_000.0)
    queued = wire.task_record(made)
    bound = bind(queued, Key("n", "crowd-123"), "p" * 36, "i" * 32, now)
    result = floor.FINISHED["result"]
    finished = wire.task_status(succeed(bound, now), result=result)
    assert _shape(wire.task_status(bound)) == _shape(floor.BOUND)
    assert _shape(finished) == _shape(floor.FINISHED)


def _shape(status: Any) -> Any:
    """Return field names, and the length of lists, without values."""
    match status:
        case dict():
            return {name: _shape(value) for name, value in sorted(status.items())}
        case list():
            return [_shape(one) for one in status]
        case _:
            return type(status).__name__


def _repetition(number: int, rate: float, **more: Any) -> dict[str, Any]:
    writes = {"on_tasks": 20, "elsewhere": 1}
    return {"repetition": number, "tasks": 10, "rate": rate, "writes": writes, **more}


def test_ratios_pair_what_ran_on_the_same_control_plane() -> None:
    """A ratio is taken within each repetition, and then its median over all of them."""
    arms = {
        "w2": [_repetition(1, 80), _repetition(2, 90), _repetition(3, 70)],
        "floor": [_repetition(2, 100), _repetition(1, 100)],
    }
    assert report.ratio("floor")(arms) == [0.8, 0.9]
    told = report.answer(arms, {})
    assert told["ratio_to_floor"] == pytest.approx(0.85)
    assert (told["operator_writes_per_task"], told["other_writes_per_task"]) == (2, 0.1)


def test_what_was_not_measured_is_null() -> None:
    """bench.json has every key, null where the run left the arm out, and below them the arms."""
    told = report.answer({"floor": [_repetition(1, 100)]}, {"mode": "quick"})
    keys = [
        "ratio_to_floor",
        "ratio_to_jobs_tuned",
        "ratio_to_jobs_default",
        "latency_p50_ms",
        "latency_p99_ms",
        "operator_writes_per_task",
        "other_writes_per_task",
        "operator_rss_mib",
        "restart_seconds",
        "idle_writes",
        "idle_cpu_percent",
        "w5_distance_percent",
        "w5_turns",
        "w5_excess",
        "lost",
        "double_bound",
    ]
    assert list(told) == [*keys, "run", "arms"]
    assert [told[key] for key in keys] == [None] * len(keys)
    assert told["arms"]["floor"]["repetitions"] == [_repetition(1, 100)]


def test_breaches_add_up() -> None:
    """Lost Tasks of all arms that were judged are one number, not a median."""
    arms = {
        "judged": [{"repetition": 1, "lost": 0}, {"repetition": 2, "lost": 1}],
        "w6": [{"repetition": 3, "lost": 2}],
    }
    assert report.total("lost", "judged", "w6")(arms) == [3]


def test_the_table_says_what_was_missed() -> None:
    """A figure that does not hold its target is marked, and one that was not measured, too."""
    arms = {"steady": [{"repetition": 1, "p50_ms": 10.0, "p99_ms": 50.0}]}
    told = report.table(arms, {"latency_p50_ms": (11, 12)})
    lines = {line.split("|")[1].strip(): line for line in told.splitlines()}
    assert lines["latency_p50_ms"].endswith("| ok | 11 … 12 | below |")
    assert lines["latency_p99_ms"].endswith("| missed | | |")
    assert "not measured" in lines["ratio_to_floor"]
    assert {line.count("|") for line in told.splitlines()} == {9}


def test_the_reviewed_ranges_are_of_the_keys() -> None:
    """Every key has a range that somebody has reviewed, and nothing else has one."""
    assert set(report.ranges(cli.RANGES)) == {key.name for key in report.KEYS}


def test_a_range_of_nothing_is_refused(tmp_path: Path) -> None:
    """A range of what is no key is told by its name."""
    path = tmp_path / "ranges.yaml"
    path.write_text("speed: [1, 2]\n")
    with pytest.raises(ValueError, match="speed"):
        report.ranges(path)


def test_the_answer_is_written_whole(tmp_path: Path) -> None:
    """bench.json is JSON that reads as it was told, and nothing else is left behind."""
    told = report.answer({"w2": [_repetition(1, random.Random(1).random())]}, {"mode": "full"})  # noqa: S311
    assert json.loads(report.write(tmp_path, told).read_text()) == told
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]


def test_costs_are_per_thousand_tasks() -> None:
    """CPU is told per 1,000 tasks, memory as the highest peak."""
    arm = [
        {"tasks": 500, "cpu_seconds": {"operator": 2.0}, "peak_rss_mib": {"operator": 90.2}},
        {"tasks": 500, "cpu_seconds": {"operator": 1.0}, "peak_rss_mib": {"operator": 101.4}},
    ]
    assert report.cost(arm, "operator") == "3 s, 101 MiB"
    assert report.cost(arm, "nobody") == ""


async def test_a_failed_repetition_does_not_cost_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each repetition that came to a bad end is told, and the run goes on to its end."""

    def refuse(name: str) -> None:
        raise RuntimeError(f"{name} does not start")

    monkeypatch.setattr("perf.bench.run.started", refuse)
    run = Run(QUICK, frozenset({"floor", "crowd"}), tmp_path)
    await run.measure()
    assert len(run.failed) == QUICK.repetitions + 1
    assert all("does not start" in why for why in run.failed)
    assert run.arms == {}


def test_quick_is_the_same_on_smaller_numbers() -> None:
    """The quick run leaves no arm out, and none of its numbers is greater."""
    assert QUICK.shares == FULL.shares
    names = ("repetitions", "tasks", "floor_tasks", "agents", "jobs_tuned", "crowd", "queued")
    assert all(0 < getattr(QUICK, name) < getattr(FULL, name) for name in names)
