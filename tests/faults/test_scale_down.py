"""Pools shrink under load while leaders die: no Task loses an attempt because of that."""

import signal
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from support import objects
from support.fault_table import Row
from support.nodes import Nodes
from support.raw_api import Json, RawApiError
from support.stage import AGENTS, KEPT, POOL, POOLS, PRODUCTION, Stage
from support.watcher import TASKS

SLOTS = 2
MOST = 6
HELD = ["I1", "I3", "I8", "X"]
SECONDS = 300
WAVES = ((2, signal.SIGKILL), (1, signal.SIGTERM))
"""Agents that are to be left, and how the leader ends while busy ones are drained."""
SCALING: Json = {
    "maxReplicas": MOST,
    # Fewer agents than it takes for the Tasks that run: busy ones have to go.
    "policies": [{"type": "Tasks", "tasksPerAgent": 2}],
    "panic": {"stableWindowSeconds": 0},
    "behavior": {
        "scaleUp": {"policies": [{"type": "Pods", "value": MOST, "periodSeconds": 1}]},
        "scaleDown": {"stabilizationWindowSeconds": 2},
    },
}

Scale = Callable[[Stage, int], None]


def by_replicas(stage: Stage, replicas: int) -> None:
    """Change spec.replicas, as a person would."""
    stage.api.patch(f"{POOLS.format(stage.namespace)}/{POOL}", {"spec": {"replicas": replicas}})


def by_scale(stage: Stage, replicas: int) -> None:
    """Replace what /scale says, as the HPA controller does: on a conflict it looks again."""
    path = f"{POOLS.format(stage.namespace)}/{POOL}/scale"

    def written() -> bool:
        scale = stage.api.get(path)
        scale["spec"]["replicas"] = replicas
        try:
            stage.api.call("PUT", path, scale)
        except RawApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            return False
        return True

    stage.wait(written, "the number in /scale")


def by_itself(_: Stage, __: int) -> None:
    """Leave it to the autoscaler."""


def make_pool(stage: Stage, **spec: Any) -> None:
    """Create a pool whose agents have much more time to drain than a Task takes."""
    # Silence must be that of the dead: on a busy machine the living may take their time.
    health = {"heartbeatSeconds": 5, "failureThreshold": 20}
    agents = {"capabilities": ["work"], "slots": SLOTS, "health": health}
    pool = objects.pool(POOL, agents, tasks={"historyLimit": KEPT}, drainTimeoutSeconds=600, **spec)
    stage.api.post(POOLS.format(stage.namespace), pool)


def phases(stage: Stage) -> dict[str, str]:
    """Return the phase of each agent."""
    agents = stage.api.get(AGENTS.format(stage.namespace))["items"]
    return {one["metadata"]["name"]: one.get("status", {}).get("phase", "") for one in agents}


def torn(stage: Stage) -> set[str]:
    """Return the agents that are drained while they work."""
    tasks = stage.api.get(TASKS.format(stage.namespace))["items"]
    running = Counter(
        one["status"].get("agentName") for one in tasks if one["status"]["phase"] == "Running"
    )
    return {name for name, phase in phases(stage).items() if phase == "Draining" and running[name]}


def led(stage: Stage) -> bool:
    """Tell whether a running process says that it leads."""
    return any(one.process.running and one.process.leading for one in stage.replicas)


def fell(stage: Stage, number: signal.Signals) -> None:
    """End whoever leads, and wait for the next one."""
    leader = next(one for one in stage.replicas if one.process.running and one.process.leading)
    if number is signal.SIGKILL:
        leader.process.kill()
    else:
        assert leader.process.stop() == 0
    stage.wait(lambda: led(stage), "next leader", seconds=SECONDS)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("scale", "spec"),
    [
        pytest.param(by_replicas, {"replicas": MOST}, id="spec.replicas"),
        pytest.param(by_scale, {"replicas": MOST}, id="scale", marks=pytest.mark.quick),
        pytest.param(by_itself, {"scaling": SCALING}, id="autoscaler"),
    ],
)
@pytest.mark.scenario("41", "SIGKILL and SIGTERM of the leader while a pool shrinks under load")
def test_a_pool_that_shrinks_costs_no_task_an_attempt(
    stage: Stage, row: Row, tmp_path: Path, scale: Scale, spec: Json
) -> None:
    """However the pool is scaled and whoever leads, every Task succeeds in its first attempt."""
    leader, standby = stage.prepare(**PRODUCTION), stage.prepare(**PRODUCTION)
    leader.process.start()
    standby.process.launch()
    Nodes(stage, SLOTS)
    make_pool(stage, **spec)
    for number, (replicas, end) in enumerate(WAVES):
        first, second = tmp_path / f"first-{number}", tmp_path / f"second-{number}"
        scale(stage, MOST)
        long = stage.submit(MOST, f"long{number}-", gate=str(second))
        stage.submit(3 * MOST, f"short{number}-", sleep=0.5, gate=str(first))
        stage.wait(lambda: len(phases(stage)) == MOST, "the whole crew", seconds=SECONDS)
        stage.running(long, seconds=SECONDS)
        first.touch()
        scale(stage, replicas)
        stage.wait(lambda: torn(stage), "an agent that works and drains", seconds=SECONDS)
        fell(stage, end)
        stage.wait(lambda: torn(stage), "that it still works", seconds=SECONDS)
        second.touch()
        stage.ended(seconds=SECONDS)
    ends = stage.flawless()
    least = 0 if scale is by_itself else WAVES[-1][0]
    stage.wait(lambda: len(phases(stage)) == least, f"{least} agents", seconds=SECONDS)
    row.faults = f"1 SIGKILL, 1 SIGTERM, {stage.watcher.pods_made()} pods, {len(ends)} tasks"
    row.invariants = HELD
