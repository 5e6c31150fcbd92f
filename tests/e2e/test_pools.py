"""Pools and agents on real pods: scaling, draining, agents that stand alone, the examples."""

from pathlib import Path

import yaml

from support import objects
from support.cli import Cli
from support.crew import READY_SECONDS, Crew
from support.poll import until

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_scaling_spares_busy_agents_until_their_work_is_done(crew: Crew, cli: Cli) -> None:
    """Scaling down takes the idle agent first, and drains a busy one without losing its attempt."""
    crew.pool("crew", 1)
    grown = crew.kubectl.run("scale", "agentpool/crew", "--replicas=2")
    assert grown.ok, grown.stderr
    crew.ready("crew", 2)
    assert set(crew.agents("crew")) == {"crew-0", "crew-1"}

    crew.submit("kept", {"do": "hold"})
    busy = crew.started("kept")["status"]["agentName"]
    shrunk = cli.run("pool", "scale", "crew", "--replicas", "1")
    assert shrunk.ok, shrunk.stderr
    until(lambda: set(crew.agents("crew")) == {busy}, f"only {busy} left", seconds=READY_SECONDS)

    assert crew.kubectl.run("scale", "agentpool/crew", "--replicas=0").ok
    until(lambda: crew.agents("crew")[busy]["status"]["phase"] == "Draining", f"{busy} draining")
    crew.submit("after", {})
    assert crew.task("kept")["status"]["phase"] == "Running"
    crew.release(crew.task("kept"))
    status = crew.ended("kept")["status"]
    assert (status["phase"], status["attempt"], status["agentName"]) == ("Succeeded", 1, busy)
    crew.ready("crew", 0)
    until(
        lambda: not crew.kubectl.get("pods", "-l", "agentcorps.dev/pool=crew")["items"],
        "pods gone with their agents",
    )

    assert crew.task("after")["status"]["phase"] == "Queued"
    assert crew.kubectl.run("scale", "agentpool/crew", "--replicas=1").ok
    assert crew.ended("after")["status"]["phase"] == "Succeeded"


def test_agent_that_stands_alone_is_kept_alive(crew: Crew) -> None:
    """An Agent without a pool gets a pod, says hello, and gets a new pod when that one is gone."""
    crew.kubectl.create(objects.agent("solo", **crew.agent_spec()))
    waited = crew.kubectl.run("wait", "--for=condition=Ready", "agent/solo", "--timeout=120s")
    assert waited.ok, waited.stderr
    agent = crew.kubectl.get("agent/solo")
    assert agent["status"]["phase"] == "Idle"
    first = agent["status"]["podUID"]
    assert crew.kubectl.run("delete", "pod/solo", "--wait=false").ok

    def anew() -> bool:
        status = crew.kubectl.get("agent/solo")["status"]
        return bool(status["phase"] == "Idle" and status["podUID"] != first)

    until(anew, "a new pod of the agent", seconds=READY_SECONDS)
    deleted = crew.kubectl.run("delete", "agent/solo")
    assert deleted.ok, deleted.stderr
    until(lambda: not crew.kubectl.run("get", "pod/solo").ok, "the pod gone with its agent")


def test_examples_work_as_they_are(crew: Crew) -> None:
    """The manifests in examples/ make agents of the example image that analyse a real text."""
    for name in ("agentpool", "agent"):
        applied = crew.kubectl.run("apply", "-f", str(EXAMPLES / f"{name}.yaml"))
        assert applied.ok, applied.stderr
    created = crew.kubectl.run(
        "create", "-f", str(EXAMPLES / "task.yaml"), "-o", "jsonpath={.metadata.name}"
    )
    assert created.ok, created.stderr
    status = crew.ended(created.stdout)["status"]
    assert status["phase"] == "Succeeded", status
    [given] = yaml.safe_load_all((EXAMPLES / "task.yaml").read_text(encoding="utf-8"))
    result = status["result"]
    assert result["readability"]["words"] == len(given["spec"]["input"]["text"].split())
    assert result["summary"]
    solo = crew.kubectl.run("wait", "--for=condition=Ready", "agent/solo", "--timeout=120s")
    assert solo.ok, solo.stderr
    gone = crew.kubectl.run("delete", "agentpool/readers", "agent/solo")
    assert gone.ok, gone.stderr


def test_pool_whose_image_cannot_be_pulled_says_so(crew: Crew) -> None:
    """A pool whose pods cannot start is Stalled or not Ready with a reason, and makes no more."""
    spec = crew.agent_spec()
    spec["podTemplate"]["spec"]["containers"][0]["image"] = "agentcorps/no-such-image:0.0.0"
    spec["podTemplate"]["spec"]["containers"][0]["imagePullPolicy"] = "Never"
    crew.kubectl.create(objects.pool("broken", spec, replicas=1))

    def told() -> bool:
        conditions = crew.kubectl.get("agentpool/broken")["status"].get("conditions", [])
        return any(
            "image" in f"{one['reason']} {one['message']}".lower()
            for one in conditions
            if (one["type"], one["status"]) in {("Stalled", "True"), ("Ready", "False")}
        )

    until(told, "a condition that names the image", seconds=READY_SECONDS)
    assert len(crew.agents("broken")) == 1
