"""The blocks of arms: what is measured on one control plane, each in a namespace of its own."""

import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from perf.bench import crowd, policies, start, work
from perf.bench.client import Client, Json
from perf.bench.contest import contest
from perf.bench.faults import Trouble
from perf.bench.fleet import serving
from perf.bench.flips import flips
from perf.bench.floor import floor
from perf.bench.jobs import jobs, pods
from perf.bench.plane import DEFAULTS, TUNED, Plane
from perf.bench.sizes import Sizes
from support.fault_proxy import FaultProxy

Arms = dict[str, list[Json]]


@dataclass
class Repetition:
    """One control plane, and what was measured on it."""

    plane: Plane
    client: Client
    sizes: Sizes
    number: int
    folder: Path
    arms: Arms

    def note(self, arm: str, measured: Json) -> Json:
        """Keep what an arm measured."""
        self.arms.setdefault(arm, []).append({"repetition": self.number, **measured})
        figures = {name: round(value, 1) for name, value in measured.items() if _telling(value)}
        say(f"  {arm}: {figures}")
        return measured


Block = Callable[[Repetition], Awaitable[None]]


async def floor_block(rep: Repetition) -> None:
    """The API server alone."""
    rep.note("floor", await floor(rep.plane, rep.client, "floor", rep.sizes.floor_tasks))


async def work_block(rep: Repetition) -> None:
    """The operator with idle agents, at its limit, and at shares of that."""
    sizes = rep.sizes
    async with serving(rep.plane, rep.client, "work", rep.folder) as fleet:
        rep.note("start", {"seconds": await fleet.pool(sizes.agents)})
        await fleet.still()
        await work.burst(fleet, "warm", sizes.agents)
        steady = await work.arrivals(
            fleet, "steady", sizes.steady_rate, sizes.steady_seconds, rep.number
        )
        rep.note("steady", steady)
        await fleet.still()
        rate = rep.note("w2", await work.burst(fleet, "w2", sizes.tasks))["rate"]
        for share in sizes.shares:
            arm = f"w3 {share:.0%}"
            rep.note(
                arm,
                await work.arrivals(
                    fleet, f"w3-{share * 100:.0f}", share * rate, sizes.share_seconds, rep.number
                ),
            )
        rep.note("judged", await fleet.judged())


async def jobs_block(rep: Repetition) -> None:
    """One Kubernetes Job per task, with a controller-manager that was tuned for it."""
    rep.note("jobs tuned", await jobs(rep.plane, rep.client, "jobs-tuned", rep.sizes.jobs_tuned))


async def default_jobs_block(rep: Repetition) -> None:
    """One Kubernetes Job per task, with the controller-manager's own defaults."""
    rep.plane.controllers(DEFAULTS)
    try:
        measured = await jobs(rep.plane, rep.client, "jobs-default", rep.sizes.jobs_default)
    finally:
        rep.plane.controllers(TUNED)
    rep.note("jobs default", measured)


async def pods_block(rep: Repetition) -> None:
    """Bare pods: what the simulated nodes take."""
    rep.note("pods", await pods(rep.plane, rep.client, "pods", rep.sizes.pods))


async def deployment_block(rep: Repetition) -> None:
    """A bare Deployment from nothing to ready."""
    count = rep.sizes.start_agents
    rep.note("w1 deployment", await start.deployment(rep.plane, rep.client, "deployment", count))


async def pool_block(rep: Repetition) -> None:
    """A pool of agents from nothing to ready."""
    async with serving(rep.plane, rep.client, "pool", rep.folder) as fleet:
        rep.note("w1 pool", await start.pool(fleet, rep.sizes.start_agents))


async def faults_block(rep: Repetition) -> None:
    """The operator dies under load, and its API server lies."""
    with FaultProxy(rep.plane.kubeconfig, rep.folder) as proxy:
        way = proxy.kubeconfig
        async with serving(rep.plane, rep.client, "faults", rep.folder, way) as fleet:
            await fleet.pool(rep.sizes.agents)
            await fleet.still()
            measured = await work.burst(fleet, "w6", rep.sizes.faulty_tasks, Trouble(proxy))
            rep.note("w6", {**measured, **await fleet.judged()})


async def crowd_block(rep: Repetition) -> None:
    """A thousand agents: idle, then with ten thousand Tasks after a restart."""
    async with serving(rep.plane, rep.client, "crowd", rep.folder) as fleet:
        rep.note("start crowd", {"seconds": await fleet.pool(rep.sizes.crowd)})
        rep.note("idle", await crowd.idle(fleet, rep.sizes.idle_after, rep.sizes.idle_seconds))
        measured = await crowd.restart(fleet, rep.sizes.queued)
        rep.note("restart", {**measured, **await fleet.judged()})


async def quota_block(rep: Repetition) -> None:
    """Three pools over one quota, whose demand flips."""
    sizes = rep.sizes
    measured = await contest(
        rep.plane, rep.client, rep.folder, sizes.contest_pods, sizes.contest_min_runtime
    )
    rep.note("w5", measured)


REPEATED: Mapping[str, Block] = {
    "floor": floor_block,
    "work": work_block,
    "jobs": jobs_block,
    "default-jobs": default_jobs_block,
    "pods": pods_block,
    "deployment": deployment_block,
    "pool": pool_block,
}
ONCE: Mapping[str, Block] = {
    "quota": quota_block,
    "faults": faults_block,
    "crowd": crowd_block,
}


def w4_arm(sizes: Sizes) -> Json:
    """Policies on the same waves of Tasks."""
    return {name: policies.w4(arrivals, hours) for name, arrivals, hours in sizes.waves}


def w5_arm(sizes: Sizes) -> Json:
    """Three pools over one quota: agents that somebody sets, and Tasks."""
    return {
        "flips": {
            "shared": flips(sizes.quota, shared=True),
            "first come": flips(sizes.quota, shared=False),
        },
        "Tasks": policies.w5(sizes.quota, sizes.turns),
    }


def day_arm(_: Sizes) -> Json:
    """What a simulated day costs."""
    return policies.day()


VIRTUAL: Mapping[str, Callable[[Sizes], Json]] = {"W4": w4_arm, "W5": w5_arm, "day": day_arm}
"""Arms that need no control plane, and always come to the same figures."""
BLOCKS = (*REPEATED, *ONCE, *VIRTUAL)


def say(text: str) -> None:
    """Tell the person who waits."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)  # noqa: T201


def _telling(value: object) -> bool:
    return isinstance(value, int | float) and value != 0
