"""W4 and W5: the peers' formulas, and how the built-in autoscaler compares with them."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.core.autoscaling.load import Load
from agentcorps.core.records import Now
from agentcorps.core.simulation.plan import Decider
from perf.bench.flips import flips, jain, water_fill
from perf.bench.policies import w4, w5
from perf.bench.policy_report import draw_policies, policy_table
from perf.bench.rivals import Hpa, Kpa
from perf.bench.traces import TRACES, figures, predicted


def target(decider: Decider, at: float, queued: int = 0, ready: int = 0, running: int = 0) -> int:
    """Return what a decider wants at a time."""
    load = Load(queued=queued, ready=ready, running=running)
    return decider.decide(load, Now(at, at)).target


def test_hpa_looks_every_fifteen_seconds() -> None:
    """Between two syncs nothing changes, whatever comes."""
    hpa = Hpa(100)
    assert target(hpa, 0) == 1
    assert target(hpa, 14.9, queued=50) == 1
    assert target(hpa, 15, queued=50) == 5
    assert target(hpa, 30, queued=50) == 10


def test_hpa_tolerates_a_tenth() -> None:
    """A ratio within the tolerance holds the number; the one beyond rounds up."""
    hpa = Hpa(100, least=20)
    assert target(hpa, 0, running=21) == 20
    assert target(hpa, 15, running=23) == 23


def test_hpa_shrinks_after_five_minutes() -> None:
    """The most that was asked for in 300 s counts; then it falls at once, to its least."""
    hpa = Hpa(100)
    assert [target(hpa, at, running=5) for at in (0, 15)] == [5, 5]
    assert target(hpa, 300) == 5
    assert target(hpa, 330) == 1


def test_kpa_wakes_at_once_and_grows_by_the_mean_of_its_windows() -> None:
    """From zero the first Task counts; in a panic six seconds decide, with a target of 0.7."""
    kpa = Kpa(100)
    assert target(kpa, 0) == 0
    assert target(kpa, 1, queued=7) == 1
    assert target(kpa, 9, queued=7) == 10


def test_kpa_does_not_shrink_in_a_panic_and_halves_afterwards() -> None:
    """After a stable window without excess it follows the mean of 60 s, by half at most."""
    kpa = Kpa(100)
    numbers = [
        target(kpa, 2.0 * step, running=7 if step < 5 else 0, ready=10) for step in range(80)
    ]
    top = numbers.index(max(numbers))
    assert max(numbers) == 10
    assert all(before >= after for before, after in pairwise(numbers[top:]))
    assert numbers[30] >= 5
    assert numbers[-1] <= 5


def test_kpa_keeps_the_last_pod_for_its_grace_period() -> None:
    """With nothing to do for the stable window and 30 s more it goes to zero."""
    kpa = Kpa(100)
    target(kpa, 0, queued=1)
    numbers = {at: target(kpa, at, ready=1) for at in range(2, 120, 2)}
    # A concurrency of 1 is more than 0.7, so there are two until the panic is over.
    assert [numbers[at] for at in (2, 62, 64, 92, 94)] == [2, 2, 1, 1, 0]


@pytest.mark.parametrize("arrivals", ["square:1:1200", "diurnal:1:7200", "bursts:0.3:600"])
def test_no_more_missed_waits_with_fewer_agent_hours(arrivals: str) -> None:
    """W4: tuned for waits, ours misses no more than its peers do, in fewer agent-hours."""
    told = w4(arrivals, 2.0)
    ours = told["agentcorps"]
    for peer in ("HPA", "KPA"):
        assert ours["missed"] <= told[peer]["missed"]
        assert ours["agent_hours"] < told[peer]["agent_hours"]


def test_shares_beat_who_comes_first() -> None:
    """W5: one pool after the other is hot; shared quotas miss fewer waits in fewer agent-hours."""
    told = w5(quota=70, turns=4)
    ours = told["agentcorps"]
    for peer in ("HPA", "KPA"):
        assert ours["missed"] < told[peer]["missed"]
        assert ours["agent_hours"] < told[peer]["agent_hours"]


def test_pools_hold_the_water_fill_after_a_flip() -> None:
    """W5: 10 s after each flip pools hold the exact shares within 5 %, and no pod too many."""
    told = flips(700, shared=True)
    assert told["farthest"] <= 0.05
    assert told["jain"] >= 0.999
    assert told["violations"] == 0
    assert flips(700, shared=False)["farthest"] > 0.5


demands = st.lists(st.floats(0, 1000), min_size=3, max_size=3).map(tuple)


@given(demands, st.floats(1, 1000))
def test_the_water_fill_is_exact(wanted: tuple[float, ...], total: float) -> None:
    """Nobody gets more than wanted, all is given that is wanted, and who lacks has equal levels."""
    weights = (1, 2, 4)
    shares = water_fill(wanted, weights, total)
    assert sum(shares) == pytest.approx(min(total, sum(wanted)))
    assert all(share <= want + 1e-9 for share, want in zip(shares, wanted, strict=True))
    levels = [share / weight for share, weight in zip(shares, weights, strict=True)]
    lacking = [
        level
        for level, *both in zip(levels, shares, wanted, strict=True)
        if both[0] < both[1] - 1e-6
    ]
    assert all(level >= max(levels) - 1e-6 for level in lacking)


def test_jain_is_one_for_equals() -> None:
    """Equal numbers have the index 1; one of n that has all, 1 / n."""
    assert jain([3, 3, 3]) == pytest.approx(1)
    assert jain([3, 0, 0]) == pytest.approx(1 / 3)
    assert jain([]) == 1


def test_policies_are_told_as_a_table_and_a_plot(tmp_path: Path) -> None:
    """Every policy has its row and its bar, and nothing is told of arms that were left out."""
    told = {"tasks": 1, "missed": 2, "p50_s": 0.1, "p99_s": 1, "agent_hours": 3.5}
    told |= {"surplus_hours": 1, "utilisation": 0.5, "flaps": 4}
    found = {"farthest": 0.01, "jain": 1.0, "violations": 0}
    arms = {
        "W4": [{"repetition": 1, "square": {"agentcorps": told, "HPA": told}}],
        "W5": [{"repetition": 1, "flips": {"shared": found}, "Tasks": {"KPA": told}}],
    }
    table = policy_table(arms)
    assert "| square | HPA | 2 | 0.1 | 1 | 3.5 | 1 | 0.5 | 4 |" in table
    assert "| three pools | KPA |" in table
    assert "W5, shared: 10 s after a flip at most 1.0% from the water-fill" in table
    assert [path.name for path in draw_policies(tmp_path, arms)] == ["policies.svg"]
    assert policy_table({}) == ""
    assert draw_policies(tmp_path, {}) == []


@pytest.mark.parametrize("name", TRACES)
def test_a_trace_tells_simulators_apart(name: str) -> None:
    """One that ignores what a trace is about predicts figures that are off by more than a tenth.

    So the comparison with a real operator cannot pass whatever the simulator does; and it is of
    waits that are there.
    """
    trace = TRACES[name]
    right, wrong = (predicted(one, trace.pods, 4.0, 2.0) for one in (trace.loads, trace.wrong))
    assert min(figures(right).waits.values()) > 5
    assert figures(right).far(figures(wrong)) > 0.1
