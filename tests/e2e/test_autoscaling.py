"""Pools that scale themselves, on real pods: down to none and back, and the four pauses."""

from functools import partial
from typing import Any

from support import objects
from support.cli import Cli
from support.crew import READY_SECONDS, Crew
from support.poll import until

Json = dict[str, Any]
SWIFT: Json = {
    "minReplicas": 0,
    "maxReplicas": 2,
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    "panic": {"stableWindowSeconds": 0},
}


def scaled(crew: Crew, name: str, **scaling: Any) -> None:
    """Create a pool that follows its Tasks without delay."""
    crew.kubectl.create(objects.pool(name, crew.agent_spec(), scaling={**SWIFT, **scaling}))


def pause(crew: Crew, name: str, **fields: Any) -> None:
    """Change the pauses of a pool; None ends one."""
    changed = crew.kubectl.patch(f"agentpool/{name}", {"spec": {"scaling": fields}})
    assert changed.ok, changed.stderr


def shows(crew: Crew, name: str, **wanted: Any) -> bool:
    """Tell whether the status of a pool is of its latest spec, and has some values."""
    pool = crew.kubectl.get(f"agentpool/{name}")
    status = pool["status"]
    current = status["observedGeneration"] == pool["metadata"]["generation"]
    asked = max((one["replicas"] for one in status.get("demands", ())), default=0)
    return bool(current and wanted.items() <= {**status, "asked": asked}.items())


def reaches(crew: Crew, name: str, **wanted: Any) -> None:
    """Wait until the status of a pool has some values; `asked` is the highest demand."""
    until(partial(shows, crew, name, **wanted), f"pool {name} {wanted}", seconds=READY_SECONDS)


def test_a_pool_without_work_has_no_pods_and_the_first_task_wakes_it(crew: Crew) -> None:
    """From none to one for a Task, back to none after it, and again: nobody scales it by hand."""
    scaled(crew, "sleeper")
    reaches(crew, "sleeper", targetReplicas=0, replicas=0)
    for name in ("first", "second"):
        crew.submit(name, {}, pool="sleeper")
        status = crew.ended(name)["status"]
        assert (status["phase"], status["attempt"]) == ("Succeeded", 1)
        reaches(crew, "sleeper", targetReplicas=0, replicas=0)
        until(
            lambda: not crew.kubectl.get("pods", "-l", "agentcorps.dev/pool=sleeper")["items"],
            "no pods",
            seconds=READY_SECONDS,
        )


def test_each_pause_keeps_the_target_in_its_own_way(crew: Crew, cli: Cli) -> None:
    """At a number, as it is, not up, not down; each says so, and the end of it counts at once."""
    scaled(crew, "paused", pausedReplicas=1)
    reaches(crew, "paused", targetReplicas=1, readyReplicas=1, limitedBy="Paused", asked=0)
    names = ("one", "two")
    for name in names:
        crew.submit(name, {"do": "hold"}, pool="paused")

    pause(crew, "paused", pausedReplicas=None, paused=True)
    reaches(crew, "paused", targetReplicas=1, limitedBy="Paused", asked=2)
    said = cli.run("pool", "why", "paused").stdout
    assert "not scaling: Paused: the target stays 1" in said
    assert "limited by: a pause" in said

    pause(crew, "paused", paused=None, pausedScaleOut=True)
    reaches(crew, "paused", targetReplicas=1, replicas=1, limitedBy="Paused", asked=2)

    pause(crew, "paused", pausedScaleOut=None, pausedScaleIn=True)
    reaches(crew, "paused", targetReplicas=2, limitedBy="None", asked=2)
    for name in names:
        crew.release(crew.started(name))
    for name in names:
        assert crew.ended(name)["status"]["attempt"] == 1
    reaches(crew, "paused", targetReplicas=2, idleReplicas=2, limitedBy="Paused", asked=0)

    pause(crew, "paused", pausedScaleIn=None)
    reaches(crew, "paused", targetReplicas=0, replicas=0, limitedBy="None")
