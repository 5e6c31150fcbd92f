"""`agentcorps simulate`: what a pool's autoscaler would do with Tasks that are made up."""

from dataclasses import dataclass
from random import Random
from typing import Annotated

import typer

from agentcorps.api.agentpool import AgentPoolSpec
from agentcorps.api.kinds import AGENT_POOL
from agentcorps.api.validation import InvalidObject, parse_pool
from agentcorps.cli import objects
from agentcorps.cli.errors import InputError
from agentcorps.cli.model import Object
from agentcorps.cli.options import Format, Printing, command
from agentcorps.cli.output import emit, to_json, to_yaml
from agentcorps.cli.traffic import Service, Shape, arrivals, service_times, trace
from agentcorps.core.autoscaling import schedules
from agentcorps.core.simulation import Crew, Job, Outcome, simulate

HOUR = 3600.0
BEGINNING = 4 * 86_400.0
"""Wall time of the beginning: a Monday, midnight UTC."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The Tasks that are made up, or read from a trace."""

    shape: Annotated[Shape, typer.Option("--shape", help="How the rate of arrivals changes.")] = (
        Shape.POISSON
    )
    rate: Annotated[float, typer.Option("--rate", help="Tasks per second, on average.")] = 1.0
    hours: Annotated[float, typer.Option("--hours", help="For how long Tasks arrive.")] = 1.0
    service: Annotated[
        Service, typer.Option("--service", help="Distribution of the times of service.")
    ] = Service.EXPONENTIAL
    service_seconds: Annotated[
        float, typer.Option("--service-seconds", help="Mean time that an agent works on a Task.")
    ] = 10.0
    trace_file: Annotated[
        str | None,
        typer.Option(
            "--trace",
            metavar="FILE",
            help="CSV of arrivals instead: seconds from the beginning, seconds of service.",
        ),
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same Tasks.")] = 1

    def jobs(self) -> list[Job]:
        """Return the Tasks.

        Raises:
            InputError: A number makes no sense, or the trace cannot be read.
        """
        if self.trace_file is not None:
            return trace(self.trace_file)
        if min(self.rate, self.hours, self.service_seconds) <= 0:
            raise InputError("--rate, --hours and --service-seconds must be above 0")
        random = Random(self.seed)  # noqa: S311 - made-up Tasks are no secret
        seconds = service_times(self.service, self.service_seconds, random)
        times = arrivals(self.shape, self.rate, self.hours * HOUR, random)
        return [Job(at, seconds()) for at in times]


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    command(
        app,
        "simulate",
        epilog="  agentcorps simulate -f pool.yaml --rate 2 --service-seconds 30\n"
        "  agentcorps simulate -f pool.yaml --shape diurnal --hours 24 --start-seconds 45\n"
        "  agentcorps simulate -f pool.yaml --trace arrivals.csv -o json",
    )(run)


def run(
    *,
    filename: Annotated[
        str,
        typer.Option("--filename", "-f", metavar="FILE", help="Manifest with one AgentPool."),
    ],
    traffic: Traffic,
    start_seconds: Annotated[
        float, typer.Option("--start-seconds", help="Time that a new agent takes to be ready.")
    ] = 10.0,
    max_wait: Annotated[
        float, typer.Option("--max-wait", help="Seconds of waiting that count as too long.")
    ] = 60.0,
    printing: Printing,
) -> None:
    """Say how an AgentPool with spec.scaling would follow Tasks, without any cluster.

    The autoscaler is the operator's own, on a clock that begins on a Monday, midnight UTC.
    """
    if start_seconds < 0:
        raise InputError("--start-seconds must be at least 0")
    if printing.output is Format.NAME:
        raise InputError("-o name fits objects: use table, json or yaml")
    pool = _pool(filename)
    if pool.scaling is None:
        raise InputError(f"{filename}: the pool has no spec.scaling: nothing decides")
    crew = Crew(pool.template.spec.slots, start_seconds)
    answer = summary(simulate(pool.scaling, crew, traffic.jobs(), BEGINNING), crew, max_wait)
    if printing.output is Format.JSON:
        emit(to_json(answer))
    elif printing.output is Format.YAML:
        emit(to_yaml(answer))
    else:
        show(answer, max_wait)


def _pool(filename: str) -> AgentPoolSpec:
    documents = objects.documents_of(AGENT_POOL, filename)
    if len(documents) != 1:
        raise InputError(f"{filename}: one AgentPool is wanted, and there are {len(documents)}")
    try:
        spec = parse_pool(documents[0].value).spec
    except InvalidObject as error:
        documents[0].refuse(error.message)
    problem = "" if spec.scaling is None else schedules.problem(spec.scaling.policies)
    if problem:
        documents[0].refuse(problem)
    return spec


def summary(outcome: Outcome, crew: Crew, max_wait: float) -> Object:
    """Return the numbers that an outcome is judged by."""
    waits = sorted(outcome.waits)
    slot_hours = outcome.agent_seconds * crew.slots / HOUR
    worked = outcome.slot_seconds / HOUR
    return {
        "tasks": len(waits),
        "hours": round(outcome.ended_at / HOUR, 3),
        "waitSeconds": {
            name: round(_quantile(waits, share), 3)
            for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
        },
        "missedWaits": sum(1 for wait in waits if wait > max_wait),
        "agentHours": round(outcome.agent_seconds / HOUR, 3),
        "idleAgentHours": round((slot_hours - worked) / crew.slots, 3),
        "utilisation": round(worked / slot_hours, 3) if slot_hours else 0.0,
        "mostAgents": outcome.most_agents,
        "targetChanges": len(outcome.targets),
        "flaps": outcome.flaps,
    }


def _quantile(ordered: list[float], share: float) -> float:
    """Return the value that this share of all does not exceed."""
    if not ordered:
        return 0.0
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def show(answer: Object, max_wait: float) -> None:
    """Print the numbers for people."""
    waits = ", ".join(f"{name} {value:g} s" for name, value in answer["waitSeconds"].items())
    emit(f"Tasks:        {answer['tasks']} in {answer['hours']:g} h")
    emit(f"waits:        {waits}; {answer['missedWaits']} longer than {max_wait:g} s")
    emit(
        f"agents:       {answer['mostAgents']} at most, {answer['agentHours']:g} agent-hours,"
        f" {answer['idleAgentHours']:g} of them idle (utilisation {answer['utilisation']:.1%})"
    )
    emit(f"target:       {answer['targetChanges']} changes, {answer['flaps']} turns up or down")
