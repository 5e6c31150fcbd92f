"""The simulation of a pool: queueing theory, conservation, and the command line."""

from __future__ import annotations

import json
from math import factorial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.cli.main import main
from agentcorps.cli.traffic import Service, Shape, arrivals, rate_of, service_times
from agentcorps.core.simulation import Crew, Job, Outcome, simulate
from support.scalings import AT_ONCE, CALM, scaling

EXAMPLE = Path(__file__).parents[2] / "examples/autoscaled-pool.yaml"


def fixed(seed: int) -> Random:
    """Return the same numbers each time."""
    return Random(seed)  # noqa: S311 - made-up loads are no secrets


def erlang_c(load: float, agents: int) -> float:
    """Return the probability that a Task waits in M/M/c (Erlang 1917)."""
    full = load**agents / factorial(agents) * agents / (agents - load)
    return full / (sum(load**n / factorial(n) for n in range(agents)) + full)


def test_a_fixed_pool_waits_as_erlang_c_says() -> None:
    """With as many agents at least as at most, the mean wait is that of M/M/c within 10 percent."""
    agents, slots, rate, mean, random = 4, 2, 0.65, 10.0, fixed(7)
    spec = scaling(minReplicas=agents, maxReplicas=agents)
    draw = service_times(Service.EXPONENTIAL, mean, random)
    jobs = [Job(at, draw()) for at in arrivals(Shape.POISSON, rate, 150_000, random)]
    outcome = simulate(spec, Crew(slots, start_seconds=0), jobs)
    servers = agents * slots
    expected = erlang_c(rate * mean, servers) * mean / (servers - rate * mean)
    assert sum(outcome.waits) / len(outcome.waits) == pytest.approx(expected, rel=0.1)


def test_a_pool_that_must_start_makes_the_first_task_wait() -> None:
    """From zero, a Task waits for exactly one start; the next one finds the agent."""
    spec = scaling(behavior={"scaleUp": AT_ONCE["scaleUp"]})
    outcome = simulate(spec, Crew(start_seconds=12), [Job(0, 5), Job(30, 5)])
    assert outcome.waits == [12.0, 0.0]
    assert outcome.most_agents == 1


jobs = st.lists(st.builds(Job, st.floats(0, 500), st.floats(0.1, 100)), max_size=60)


@given(
    jobs=jobs,
    slots=st.integers(1, 4),
    start=st.floats(0, 60),
    calm=st.sampled_from([CALM, {}]),
)
def test_every_task_is_served_once(
    jobs: list[Job], slots: int, start: float, calm: dict[str, Any]
) -> None:
    """No Task is lost or cut short by scaling, and slots work exactly for what Tasks take."""
    spec = scaling(maxReplicas=10, behavior=AT_ONCE, panic=calm)
    outcome: Outcome = simulate(spec, Crew(slots, start), jobs)
    assert len(outcome.waits) == len(jobs)
    assert min(outcome.waits, default=0) >= 0
    assert outcome.slot_seconds == pytest.approx(sum(job.seconds for job in jobs))
    assert outcome.agent_seconds * slots >= outcome.slot_seconds - 1e-6


@pytest.mark.parametrize("shape", Shape)
def test_shapes_have_the_given_rate_on_average(shape: Shape) -> None:
    """Over a day each shape brings as many Tasks as its rate says."""
    day = 86_400
    assert sum(rate_of(shape, 2.0, at) for at in range(day)) / day == pytest.approx(2.0, rel=0.01)
    found = sum(1 for _ in arrivals(shape, 0.5, day, fixed(3)))
    assert found == pytest.approx(0.5 * day, rel=0.03)


@pytest.mark.parametrize("service", Service)
def test_times_of_service_have_the_given_mean(service: Service) -> None:
    """Each distribution has the mean that was asked for."""
    draw = service_times(service, 8.0, fixed(5))
    assert sum(draw() for _ in range(50_000)) / 50_000 == pytest.approx(8.0, rel=0.05)


def test_the_command_line_tells_the_numbers(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A trace of two Tasks on the example's pool: the numbers are those of the trace."""
    trace = tmp_path / "trace.csv"
    trace.write_text("0,10\n100,20\n")
    arguments = ["simulate", "-f", str(EXAMPLE), "--trace", str(trace), "--start-seconds", "5"]
    assert main([*arguments, "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["tasks"], told["waitSeconds"]["max"], told["missedWaits"]) == (2, 5.0, 0)
    assert main(arguments) == 0
    assert "waits:        p50 0 s, p90 5 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "problem"),
    [("1;2", "must be two numbers"), ("1,-2", "must be positive"), ("1,nan", "must be positive")],
)
def test_a_bad_trace_is_refused_with_its_line(
    line: str, problem: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What is no trace ends with 2 and one line that names the place."""
    trace = tmp_path / "trace.csv"
    trace.write_text(f"0,1\n{line}\n")
    assert main(["simulate", "-f", str(EXAMPLE), "--trace", str(trace)]) == 2
    said = capsys.readouterr().err
    assert "trace.csv line 2:" in said
    assert problem in said
