"""Pools that cannot start, with a real scheduler, kubelet and quota controller.

What they may hold, how many pods they cost, what they say, and how they come back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support import objects
from support.cli import Cli
from support.crew import READY_SECONDS, Crew
from support.kubectl import Kubectl
from support.pod_counts import PodCounts
from support.poll import until

Json = dict[str, Any]
PLACES = 5
WEIGHTS = {"broken": 2, "homeless": 2, "good": 1}
NO_IMAGE = "agents.invalid/nobody/has-it:1"
UNPULLABLE = {"ErrImagePull", "ImagePullBackOff"}
SPEC = "/spec/template/spec"
IMAGE = f"{SPEC}/podTemplate/spec/containers/0/image"
STARTUP = f"{SPEC}/health/startupSeconds"
PATIENT_SECONDS = 120
"""For what can start: a busy machine may take its time."""
QUIET_SECONDS = 8.0
"""Several times what the operator takes to make a pod that it means to make."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Three pools that share five places: two cannot start, by their image and their node."""

    crew: Crew
    cli: Cli
    pods: PodCounts
    label: str
    """Of a node; `homeless` needs it, and no node has it."""
    patience: int
    """Seconds after which an agent without a node, or one that does not start, is given up."""

    def pool(self, name: str, replicas: int, startup: int, **pod: Any) -> None:
        """Create a pool; `pod` adds to its pods."""
        health = {"heartbeatSeconds": 2, "failureThreshold": 3, "startupSeconds": startup}
        spec = self.crew.agent_spec(health=health)
        container = spec["podTemplate"]["spec"]["containers"][0]
        container["image"] = pod.pop("image", self.crew.image)
        spec["podTemplate"]["spec"] |= pod
        quota = {"weight": WEIGHTS[name]}
        self.crew.kubectl.create(objects.pool(name, spec, replicas=replicas, quota=quota))

    def settled(self, **places: int) -> None:
        """Wait until each pool has so many pods."""
        seconds = READY_SECONDS + self.patience
        until(lambda: self.pods.now() == places, f"pods {places}", seconds=seconds)

    def status(self, name: str) -> Json:
        """Return the status of a pool."""
        found: Json = self.crew.kubectl.get(f"agentpool/{name}")["status"]
        return found

    def targets(self) -> dict[str, int]:
        """Return how many agents each pool is to have."""
        return {name: self.status(name)["targetReplicas"] for name in WEIGHTS}

    def stalled(self, name: str) -> Json:
        """Return a pool's condition Stalled."""
        conditions = self.status(name)["conditions"]
        return next(one for one in conditions if one["type"] == "Stalled")

    def told(self, name: str) -> set[str]:
        """Return the reasons of the operator's warnings about a pool."""
        events = self.crew.kubectl.get("events.events.k8s.io")["items"]
        return {
            one["reason"]
            for one in events
            if one["type"] == "Warning"
            and (one["regarding"]["kind"], one["regarding"]["name"]) == ("AgentPool", name)
        }

    def says(self, *command: str) -> str:
        """Return what the command line prints."""
        answer = self.cli.run(*command)
        assert answer.ok, answer.stderr
        return answer.stdout


@pytest.fixture
def patience(system: Kubectl) -> int:
    """Return the operator's patience with pods that find no node."""
    container = system.get("deployment/agentcorps-operator")["spec"]["template"]["spec"][
        "containers"
    ][0]
    environ = {one["name"]: one.get("value", "") for one in container["env"]}
    return max(1, round(float(environ["AGENTCORPS_UNSCHEDULABLE_SECONDS"])))


@pytest.fixture
def contest(cluster: Kubectl, new_crew: Callable[[], Crew], patience: int) -> Iterator[Contest]:
    """Return a namespace with five places, and nobody in it."""
    crew = new_crew()
    made = crew.kubectl.run("create", "quota", "team", f"--hard=pods={PLACES}")
    assert made.ok, made.stderr
    cli = Cli(crew.kubectl.kubeconfig, crew.namespace)
    label = f"e2e.agentcorps.dev/{crew.namespace}"
    with PodCounts(crew.kubectl.kubeconfig, crew.namespace) as pods:
        yield Contest(crew, cli, pods, label, patience)
    cluster.run("label", "nodes", "--all", f"{label}-")


def stuck(contest: Contest) -> None:
    """Bring the pools to where the two that cannot start have one place each."""
    contest.pool("broken", 3, contest.patience, image=NO_IMAGE)
    contest.pool("homeless", 3, contest.patience, nodeSelector={contest.label: "here"})
    until(lambda: contest.pods.now().total() == PLACES, "all places taken", seconds=READY_SECONDS)
    contest.pool("good", 3, PATIENT_SECONDS)
    contest.settled(broken=1, homeless=1, good=3)
    contest.crew.ready("good", 3)


def test_pools_that_cannot_start_hold_one_place_and_say_why(contest: Contest) -> None:
    """Each keeps one of five places, however many replicas it wants; whoever asks is told why."""
    stuck(contest)
    crew = contest.crew
    until(lambda: contest.status("broken")["limitedBy"] == "Startup", "the limit of broken")
    until(lambda: contest.status("homeless")["limitedBy"] == "Capacity", "the limit of homeless")
    assert contest.stalled("broken")["reason"] in UNPULLABLE
    assert NO_IMAGE in contest.stalled("broken")["message"]
    assert contest.stalled("homeless")["reason"] == "Unschedulable"
    until(lambda: contest.told("broken") & UNPULLABLE, "an Event about the image")
    until(lambda: "Unschedulable" in contest.told("homeless"), "an Event about the node")
    why = contest.says("pool", "why", "broken")
    assert "limited by: its own agents: none starts, so no more are made" in why
    assert NO_IMAGE in why
    assert "limited by: the cluster's capacity" in contest.says("pool", "why", "homeless")
    rows = {line.split()[0]: line for line in contest.says("status").splitlines() if line}
    assert rows["broken"].split()[1:4] == ["3", "1", "0"]
    assert NO_IMAGE in rows["broken"]
    assert rows["homeless"].split()[1:4] == ["3", "1", "0"]
    assert "Unschedulable" in rows["homeless"]
    assert rows["good"].split()[1:4] == ["3", "3", "3"]

    for name in ("broken", "homeless"):
        assert crew.kubectl.run("scale", f"agentpool/{name}", "--replicas=50").ok
    until(lambda: contest.targets() == {"broken": 50, "homeless": 50, "good": 3}, "the numbers")
    until(lambda: contest.pods.still(QUIET_SECONDS), "quiet")
    assert contest.pods.now() == {"broken": 1, "homeless": 1, "good": 3}
    # Three at first; a fourth where the other one is given up a moment before it.
    assert contest.pods.made("broken") <= 4
    assert contest.pods.made("homeless") <= 4
    assert contest.pods.most() <= PLACES
    assert contest.pods.gaps == 0


def test_pools_that_can_start_again_get_their_share_and_nobody_loses_work(
    contest: Contest,
) -> None:
    """The image is mended, a node appears: 2:2:1 of five places, once those at work are done."""
    stuck(contest)
    crew = contest.crew
    for number in range(2):
        crew.submit(f"kept-{number}", {"do": "hold"}, pool="good")
    kept = [crew.started(f"kept-{number}") for number in range(2)]

    node = crew.kubectl.get("pod/good-0")["spec"]["nodeName"]
    labelled = crew.kubectl.run("label", "node", node, f"{contest.label}=here")
    assert labelled.ok, labelled.stderr
    mend: list[Json] = [
        {"op": "replace", "path": IMAGE, "value": crew.image},
        {"op": "replace", "path": STARTUP, "value": PATIENT_SECONDS},
    ]
    assert crew.kubectl.patch("agentpool/broken", mend).ok
    until(
        lambda: (
            contest.pods.now()["good"] == 2
            and sum(contest.status(name)["readyReplicas"] for name in ("broken", "homeless")) == 3
        ),
        "three agents that start",
        seconds=READY_SECONDS,
    )
    waits = "; others still have the places for 1 of its share"
    until(
        lambda: any(waits in contest.says("pool", "why", name) for name in ("broken", "homeless")),
        "a word about the place that is not free",
    )
    for number in range(2):
        assert crew.task(f"kept-{number}")["status"]["phase"] == "Running"

    for task in kept:
        crew.release(task)
    for task in kept:
        status = crew.ended(task["metadata"]["name"])["status"]
        assert (status["phase"], status["attempt"]) == ("Succeeded", 1)
    contest.settled(broken=2, homeless=2, good=1)
    until(
        lambda: (
            {name: contest.status(name)["readyReplicas"] for name in WEIGHTS}
            == {"broken": 2, "homeless": 2, "good": 1}
        ),
        "the shares, ready",
        seconds=READY_SECONDS,
    )
    assert contest.pods.most() <= PLACES
    assert contest.pods.gaps == 0
