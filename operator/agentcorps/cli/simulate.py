"""`agentcorps simulate`: what pools would do with Tasks that are made up, or were seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from agentcorps.cli import simulated, simulation_plot, simulation_report
from agentcorps.cli.errors import InputError
from agentcorps.cli.options import Printing, command
from agentcorps.cli.output import check_answer_style, note, print_answer
from agentcorps.cli.simulated_tasks import Traffic, describe_periods
from agentcorps.cli.traffic import LONGEST_SECONDS
from agentcorps.core.quota.rules import DEFAULT_RULES, SharingRules
from agentcorps.core.simulation.plan import Machines, Setting
from agentcorps.core.simulation.run import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agentcorps.core.records import PoolRecord
    from agentcorps.core.simulation.outcome import Outcome

BEGINNING = 4 * 86_400.0
"""Wall time of the beginning: a Monday, midnight UTC."""
MOST_HOURS = 24.0 * 366


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The Tasks that are made up, or read from a trace."""

    arrivals: Annotated[
        list[str],
        typer.Option(
            "--arrivals",
            metavar="[POOL=]SHAPE:RATE[:PERIOD]",
            help="How Tasks come: poisson; square (for half of each PERIOD, none in the other);"
            " diurnal (a sine from midnight to midnight); bursts (all at the beginning of each"
            " PERIOD). RATE Tasks per second on average; PERIOD in seconds, by default"
            f" {describe_periods()}. For all pools, or for one; repeatable. By default poisson:1.",
        ),
    ] = field(default_factory=list)
    service: Annotated[
        list[str],
        typer.Option(
            "--service",
            metavar="[POOL=]KIND:SECONDS",
            help="How long agents work on Tasks: constant, exponential or lognormal (:SIGMA) with"
            " this mean, or file:FILE with times that were seen; repeatable. By default"
            " exponential:10.",
        ),
    ] = field(default_factory=list)
    traces: Annotated[
        list[str],
        typer.Option(
            "--trace",
            metavar="[POOL=]FILE",
            help="CSV of Tasks instead: seconds from the beginning, and seconds of service, which"
            " --service makes up where they are missing. A first line of names is skipped;"
            " repeatable.",
        ),
    ] = field(default_factory=list)
    hours: Annotated[
        float | None,
        typer.Option(
            "--hours",
            help="For how long Tasks come; by default 1, a whole PERIOD if that is longer, or all"
            " of a trace.",
        ),
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="The same seed makes the same Tasks.")] = 1

    def traffic(self) -> Traffic:
        """Return the Tasks.

        Raises:
            InputError: A number makes no sense.
        """
        if self.hours is not None and not 0 < self.hours <= MOST_HOURS:
            raise InputError(f"--hours must be above 0, and at most {MOST_HOURS:g}")
        return Traffic(self.arrivals, self.service, self.traces, self.hours, self.seed)


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What the pools live in."""

    start_seconds: Annotated[
        float, typer.Option("--start-seconds", help="Time that a new agent takes to be ready.")
    ] = 10.0
    stop_seconds: Annotated[
        float,
        typer.Option("--stop-seconds", help="Time that an agent's pod takes to be gone."),
    ] = 2.0
    quota: Annotated[
        str | None,
        typer.Option(
            "--quota",
            metavar="RESOURCE=QUANTITY,...",
            help="What if the ResourceQuota were this? Replaces what manifests say, or adds to it.",
        ),
    ] = None
    min_runtime_seconds: Annotated[
        float,
        typer.Option(
            "--min-runtime-seconds",
            help="The chart's minRuntimeSeconds: age of an agent from which on its place in a"
            " quota may go to another pool.",
        ),
    ] = DEFAULT_RULES.min_runtime
    node: Annotated[
        str | None,
        typer.Option(
            "--node",
            metavar="RESOURCE=QUANTITY,...",
            help="What pods may take of a node, such as cpu=8,memory=30Gi,pods=110: nodes are full"
            " then, and new ones are started. By default there is always a place.",
        ),
    ] = None
    nodes: Annotated[
        int | None,
        typer.Option("--nodes", help="Nodes that are there, and stay. By default 1."),
    ] = None
    max_nodes: Annotated[
        int | None, typer.Option("--max-nodes", help="Nodes at most. By default 100.")
    ] = None
    node_start_seconds: Annotated[
        float | None,
        typer.Option(
            "--node-start-seconds", help="Time that a new node takes to be ready. By default 90."
        ),
    ] = None

    def check(self) -> None:
        """Refuse what makes no sense, whatever the pools.

        Raises:
            InputError: There is something.
        """
        for option, seconds in (
            ("--start-seconds", self.start_seconds),
            ("--stop-seconds", self.stop_seconds),
            ("--min-runtime-seconds", self.min_runtime_seconds),
            ("--node-start-seconds", self.node_start_seconds),
        ):
            if seconds is not None and not 0 <= seconds < LONGEST_SECONDS:
                raise InputError(f"{option} must be at least 0, and below 1e9")
        for option, value in (
            ("--nodes", self.nodes),
            ("--max-nodes", self.max_nodes),
            ("--node-start-seconds", self.node_start_seconds),
        ):
            if value is not None and self.node is None:
                raise InputError(
                    f"{option} needs --node, which says how large a node is: --node cpu=8"
                )

    def machines(self, pools: Sequence[PoolRecord]) -> Machines | None:
        """Return the nodes; None when there is always a place.

        Raises:
            InputError: A number makes no sense, or a pod would fit on no node.
        """
        if self.node is None:
            return None
        return simulated.machines(
            self.node,
            1 if self.nodes is None else self.nodes,
            100 if self.max_nodes is None else self.max_nodes,
            90.0 if self.node_start_seconds is None else self.node_start_seconds,
            pools,
        )


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What is told of the outcome."""

    max_wait: Annotated[
        float | None,
        typer.Option(
            "--max-wait",
            help="Seconds of waiting that count as too long; by default a pool's maxWaitSeconds,"
            " or else 60.",
        ),
    ] = None
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot",
            metavar="FILE",
            help="Draw agents and Tasks over time: .svg, .png or .pdf (needs agentcorps[plot]).",
        ),
    ] = None

    def drawer(self) -> Callable[[Outcome], None] | None:
        """Return what draws the outcome, if it is to be drawn.

        Raises:
            InputError: A number makes no sense, or nothing can be drawn in this way.
        """
        if self.max_wait is not None and not 0 <= self.max_wait < LONGEST_SECONDS:
            raise InputError("--max-wait must be at least 0, and below 1e9")
        return None if self.plot is None else simulation_plot.drawer(self.plot)


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    command(
        app,
        "simulate",
        epilog="  agentcorps simulate -f pool.yaml --arrivals poisson:2 --service lognormal:30\n"
        "  agentcorps simulate -f pool.yaml --arrivals diurnal:0.5 --hours 24 --plot day.svg\n"
        "  agentcorps simulate -f pool.yaml --trace arrivals.csv -o json\n"
        "  kubectl get agp,resourcequota -o yaml | agentcorps simulate -f - --quota cpu=40",
    )(run)


def run(
    *,
    filename: Annotated[
        list[str],
        typer.Option(
            "--filename",
            "-f",
            metavar="FILE",
            help="Manifest with AgentPools and ResourceQuotas; - is stdin; repeatable.",
        ),
    ],
    tasks: TaskOptions,
    cluster: ClusterOptions,
    report: ReportOptions,
    printing: Printing,
) -> None:
    """Say how AgentPools would follow Tasks, without any cluster.

    Autoscaler and quota shares are the operator's own, on a clock that begins on a Monday, midnight
    UTC. Tasks never fail, agents neither.

    MISSED are Tasks that waited longer than --max-wait, or were never started; SURPLUS are
    agent-hours beyond what queued and running Tasks would have kept busy; FLAPS is how often the
    number of agents that a pool is to have turned from rising to falling or back.
    """
    check_answer_style(printing.output)
    draw = report.drawer()
    traffic = tasks.traffic()
    cluster.check()
    pools, quotas, notes = simulated.read(filename)
    machines = cluster.machines(pools)
    if cluster.quota is not None:
        quotas = simulated.overridden(quotas, cluster.quota, pools)
        idle = simulated.unused(quotas, cluster.quota, pools)
        notes += [
            f"--quota: no pod of these pools takes {name}: it limits nothing" for name in idle
        ]
    for line in notes:
        note(line)
    plans = simulated.plans(pools, traffic, cluster.start_seconds, cluster.stop_seconds)
    setting = Setting(
        quotas=tuple(quotas),
        rules=SharingRules(min_runtime=cluster.min_runtime_seconds),
        machines=machines,
        began=BEGINNING,
        sample_seconds=max(1.0, traffic.seconds / simulation_plot.POINTS),
    )
    outcome = simulate(plans, setting)
    if draw is not None:
        draw(outcome)
    answer = simulation_report.summary(outcome, pools, report.max_wait)
    print_answer(answer, printing.output, lambda: simulation_report.show(answer, outcome))
