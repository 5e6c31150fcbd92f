"""Objects and agents that are not what they should be: refused or named, and nobody else waits."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import objects
from support.api_server import ROOT, apply_crds
from support.fault_table import Row
from support.kubectl import Kubectl
from support.live_agent import pod_token
from support.poll import until
from support.raw_api import Json, RawApiError
from support.stage import AGENTS, POOL, POOLS, Stage
from support.watcher import PODS, TASKS

LIAR = "liar-instance"


class Liar:
    """Speaks the agents' protocol by hand, in the name of a real pod."""

    def __init__(self, stage: Stage, pod: str) -> None:
        """Get a token of the pod."""
        self._token = pod_token(stage.kubectl, pod)
        self._url = stage.forwarder.url
        self._context = ssl.create_default_context(cadata=stage.authority)

    def say(self, path: str, **body: Any) -> tuple[int, Json]:
        """Make a call; returns the status and the answer."""
        request = urllib.request.Request(  # noqa: S310 -- https, to the gateway of the test
            self._url + path,
            data=json.dumps({"instance": LIAR, **body}).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=60) as answer:  # noqa: S310 -- as above
                text = answer.read()
                return answer.status, json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.mark.scenario("26", "An agent lies")
def test_lies_of_an_agent_are_refused(stage: Stage, row: Row) -> None:
    """A foreign task, a finished one, a billion slots, a made-up attempt: nothing changes."""
    replica = stage.lead()
    stage.crew(1)
    stage.submit(1, "done")
    stage.ended()
    stage.submit(1, "running", sleep=20)
    stage.running(["running0"])
    stage.api.post(POOLS.format(stage.namespace), objects.pool("liars", replicas=1))
    until(lambda: stage.there(f"{PODS.format(stage.namespace)}/liars-0"), "pod of the liar")
    stage.slots["liars-0"] = 1
    liar = Liar(stage, "liars-0")
    greeting: Json = {"protocolVersion": 1, "capabilities": ["work"], "running": []}
    assert liar.say("/v1/hello", slots=10**9, **greeting)[0] in {200, 422}
    assert liar.say("/v1/hello", slots=100, **greeting)[0] == 200
    before = {name: stage.task(name)["status"] for name in stage.created}
    lies: list[tuple[str, Json, set[int]]] = [
        (f"/v1/tasks/{stage.created['running0']}/1/complete", {"result": {"lie": 1}}, {403}),
        (f"/v1/tasks/{stage.created['done0']}/1/complete", {"result": {"lie": 1}}, {403, 409}),
        (
            f"/v1/tasks/{stage.created['done0']}/1/fail",
            {"reason": "Lie", "message": "", "retryable": True},
            {403, 409},
        ),
        (f"/v1/tasks/{stage.created['running0']}/7/complete", {"result": {}}, {403, 404, 409}),
        ("/v1/tasks/no-such-uid/1/complete", {"result": {}}, {404, 422}),
    ]
    for path, body, expected in lies:
        assert liar.say(path, **body)[0] in expected, path
    assert {name: stage.task(name)["status"] for name in stage.created} == before
    assert "foreign task" in replica.process.log.read_text()
    stage.submit(3, "liars", pool="liars", requires=[])
    code, answer = liar.say("/v1/tasks/next", free=100, wait=5, running=[])
    assert code == 200
    assert len(answer["tasks"]) == 1
    stage.agents["liars-0"] = stage.agent("liars-0")
    ends = stage.ended()
    assert {end.phase for name, end in ends.items() if name != "liars0"} <= {"Succeeded", "Failed"}
    assert stage.watcher.faults(stage.slots, stage.created.values()) == []
    row.faults, row.invariants = f"{len(lies) + 2} lies", ["I1", "I3"]


@pytest.mark.scenario("25", "A result after the timeout")
def test_a_result_that_comes_too_late_is_ignored(stage: Stage, row: Row) -> None:
    """The attempt timed out and the task ended: the late report is a 409 and changes nothing."""
    stage.lead()
    stage.api.post(
        POOLS.format(stage.namespace), objects.pool("late", {"capabilities": ["work"]}, replicas=1)
    )
    until(lambda: stage.there(f"{PODS.format(stage.namespace)}/late-0"), "pod")
    liar = Liar(stage, "late-0")
    until(lambda: stage.forwarder.target, "gateway")
    until(
        lambda: (
            liar.say("/v1/hello", protocolVersion=1, slots=1, capabilities=["work"], running=[])[0]
            == 200
        ),
        "hello",
    )
    stage.submit(1, "late", pool="late", timeoutSeconds=1, retry={"limit": 0})
    code, answer = liar.say("/v1/tasks/next", free=1, wait=10, running=[])
    assert code == 200
    assert len(answer["tasks"]) == 1
    ended = stage.ended()["late0"]
    assert ended.phase == "TimedOut"
    uid = stage.created["late0"]
    code, _ = liar.say(f"/v1/tasks/{uid}/1/complete", result={"late": True})
    assert code == 409
    assert stage.seen("late0") == ended
    assert stage.watcher.faults(stage.slots, stage.created.values()) == []
    row.faults, row.invariants = "1 report after the end", ["I1", "I3"]


@pytest.fixture
def strict(cluster: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for the cluster; the CRDs are as they should be afterwards."""
    yield cluster
    apply_crds(cluster)


def loosened(path: Path) -> Json:
    """Return a CRD as an older version may have had it: any object is good."""
    crd: Json = yaml.safe_load(path.read_text())
    for version in crd["spec"]["versions"]:
        version.pop("selectableFields", None)
        version["schema"] = {
            "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        }
    return crd


@pytest.mark.scenario("32", "Objects stored under an older, looser schema")
def test_objects_that_no_schema_would_take_now_hold_nobody_up(
    stage: Stage, row: Row, strict: Kubectl
) -> None:
    """Tasks, agents and pools of wrong types are stored before the operator starts: others work.

    Those whose status cannot be read get an Event that says so.
    """
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        done = strict.send("apply", loosened(path), options=("--server-side", "--force-conflicts"))
        assert done.ok, done.stderr
    bad = _bad_specs()
    until(lambda: _stored(stage, bad), "bad objects")
    lost = {TASKS: f"bad-{_first(bad, 'Task')}", AGENTS: f"bad-{_first(bad, 'Agent')}"}
    for kind, name in lost.items():
        stage.api.patch(f"{kind.format(stage.namespace)}/{name}/status", {"status": {"phase": "?"}})
    apply_crds(strict)
    replica = stage.lead()
    stage.crew(2)
    stage.submit(10, sleep=0.05)
    ends = stage.ended()
    assert {end.phase for end in ends.values()} == {"Succeeded"}
    assert replica.process.running
    assert stage.watcher.faults(stage.slots, stage.created.values()) == []
    events = stage.api.get(f"/apis/events.k8s.io/v1/namespaces/{stage.namespace}/events")["items"]
    named = [one["regarding"]["name"] for one in events if one["reason"] == "Unreadable"]
    assert sorted(named) == sorted(lost.values())
    row.faults, row.invariants = f"{len(bad)} objects of wrong types", ["I1", "I3", "I6"]


def _first(bad: list[tuple[str, Json]], wanted: str) -> int:
    return next(number for number, (kind, _) in enumerate(bad) if kind == wanted)


def _bad_specs() -> list[tuple[str, Json]]:
    tasks: list[Json] = [
        {},
        {"pool": 7},
        {"pool": POOL, "requires": "work"},
        {"pool": POOL, "input": [1]},
        {"pool": POOL, "retry": {"limit": "many"}},
        {"pool": POOL, "timeoutSeconds": -1},
    ]
    fleets: list[Json] = [
        {},
        {"replicas": 3, "template": None},
        {"podTemplate": 5, "slots": -3},
        {"podTemplate": {"spec": {"containers": {}}}},
    ]
    named = [("Task", spec) for spec in tasks]
    return named + [(kind, spec) for kind in ("Agent", "AgentPool") for spec in fleets]


def _stored(stage: Stage, bad: list[tuple[str, Json]]) -> bool:
    """Store them all; False while the API server still serves the strict schema."""
    paths = {"Task": TASKS, "Agent": AGENTS, "AgentPool": POOLS}
    for number, (kind, spec) in enumerate(bad):
        body = {
            "apiVersion": "agentcorps.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": f"bad-{number}"},
            "spec": spec,
        }
        try:
            stage.api.post(paths[kind].format(stage.namespace), body)
        except RawApiError as error:
            if error.status != 409:
                return False
    return True


@pytest.mark.scenario("33", "Poison in annotations, labels and status")
def test_poison_in_one_object_holds_nobody_up(stage: Stage, row: Row) -> None:
    """Foreign hands write nonsense into status and metadata: the others work, no step fails."""
    replica = stage.staffed(2)
    stage.submit(1, "poisoned", sleep=1)
    stage.submit(10, sleep=0.1)
    poison = {"agentcorps.dev/nonsense": "\\u0000{{}}" * 1000, "kopf.zalando.org/last": "]["}
    path = f"{TASKS.format(stage.namespace)}/poisoned0"
    stage.api.patch(path, {"metadata": {"annotations": poison}})
    pod = f"{PODS.format(stage.namespace)}/{POOL}-0"
    stage.api.patch(pod, {"metadata": {"annotations": poison}})
    for kind, name in ((AGENTS, f"{POOL}-0"), (POOLS, POOL)):
        where = f"{kind.format(stage.namespace)}/{name}"
        stage.api.patch(where, {"metadata": {"annotations": poison}})
        stage.api.patch(f"{where}/status", {"status": {"conditions": []}})
    nobody = objects.task("foreign", pool=POOL, requires=["nobody"])
    stage.created["foreign"] = stage.api.post(TASKS.format(stage.namespace), nobody)["metadata"][
        "uid"
    ]
    stage.api.patch(
        f"{TASKS.format(stage.namespace)}/foreign/status",
        {"status": {"phase": "Running", "attempt": 3, "agentName": "ghost", "podUID": "none"}},
    )
    good = [name for name in stage.created if name != "foreign"]
    ends = stage.ended(good)
    assert {end.phase for end in ends.values()} == {"Succeeded"}
    until(
        lambda: (seen := stage.seen("foreign")) is not None and seen.phase != "Running",
        "end of what a ghost was said to run",
    )
    stage.delete_task("foreign")
    assert stage.breaches() == []
    assert '"loop step failed"' not in replica.process.log.read_text()
    stage.settled()
    row.faults, row.invariants = "5 objects, 9 patches", ["I1", "I3", "I6"]


@pytest.mark.scenario("31", "CRD deleted and made again")
@pytest.mark.timeout(300)
def test_a_crd_that_goes_and_comes_back_is_served_again(
    stage: Stage, row: Row, strict: Kubectl
) -> None:
    """All Tasks go with their CRD; once it is back, new ones are done by the same operator."""
    replica = stage.lead()
    stage.crew(2)
    stage.submit(4, "old", sleep=30)
    stage.running(["old0"])
    stage.gone.update(stage.created.values())
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tasks.agentcorps.dev"
    stage.api.delete(crd)

    def gone() -> bool:
        try:
            stage.api.get(crd)
        except RawApiError as error:
            return error.status == 404
        return False

    until(gone, "end of the CRD", seconds=90)
    apply_crds(strict)
    assert replica.process.running
    names = stage.submit(4, "new", sleep=0.1)

    def done() -> bool:
        return all(stage.task(name)["status"].get("phase") == "Succeeded" for name in names)

    until(done, "end of the new tasks", seconds=120)
    assert replica.process.running
    stage.flawless(names)
    row.faults, row.invariants = "CRD of Task deleted under load", ["I1", "I3", "I6", "I7"]
