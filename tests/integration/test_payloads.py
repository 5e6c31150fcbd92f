"""Payloads in Secrets on a real API server: policies, there and back, and no trace of them."""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from generate.policies import SECRETS, no_secrets_policy, secrets_policy
from support import objects
from support.kubectl import Answer, Kubectl
from support.objects import Json
from support.poll import until
from support.rights import AS_USER, USER, grant
from support.stage import Stage

FROM_SECRET = {"secretKeyRef": {"name": "mail", "key": "input.json"}}
FROM_CONFIG_MAP = {"configMapKeyRef": {"name": "mail", "key": "input.json"}}
TO_SECRET = {"secret": {"name": "answer"}}
SECRETS_PATH = "/api/v1/namespaces/{}/secrets"
DENIED = "denied request: "


# Policies


@pytest.fixture(scope="module")
def policy(cluster: Kubectl) -> None:
    """Install the policy, and wait until the API server enforces it."""
    enforce(cluster, secrets_policy(), "may not get Secret")


def enforce(cluster: Kubectl, documents: list[Json], words: str) -> None:
    """Apply a policy and wait until a stranger's Task is refused in its words."""
    probe = cluster.within("default")
    grant(probe, {"agentcorps.dev": {"tasks": ["create"]}}, name="probe")
    applied = cluster.send("apply", *documents, options=("--server-side", "--force-conflicts"))
    assert applied.ok, applied.stderr
    task = objects.task("probe", inputFrom=FROM_SECRET)
    until(
        lambda: words in submit(probe, task, "--dry-run=server").stderr, f"refusal with {words!r}"
    )


def submit(kubectl: Kubectl, task: Json, *options: str) -> Answer:
    """Create a Task as a user who is nobody in particular."""
    return kubectl.send("create", task, options=(AS_USER, *options))


@pytest.fixture
def user(kubectl: Kubectl) -> Kubectl:
    """Return kubectl in a namespace in which the user may create and change Tasks, no more."""
    grant(kubectl, {"agentcorps.dev": {"tasks": ["create", "get", "patch"]}}, name="tasks")
    until(lambda: submit(kubectl, objects.task("first"), "--dry-run=server").ok, "right on Tasks")
    return kubectl


def words_of(answer: Answer) -> str:
    """Return what the policy said."""
    assert not answer.ok
    assert f"ValidatingAdmissionPolicy '{SECRETS}'" in answer.stderr
    return answer.stderr.partition(DENIED)[2]


READS = "whoever creates a Task must be allowed to read its input"
STORES = "whoever creates a Task must be allowed to store its result"


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("source", "resource", "kind"),
    [(FROM_SECRET, "secrets", "Secret"), (FROM_CONFIG_MAP, "configmaps", "ConfigMap")],
)
def test_only_who_may_read_a_source_may_have_it_read(
    user: Kubectl, source: Json, resource: str, kind: str
) -> None:
    """A Task is refused in words that name the missing right, and taken once that is there."""
    task = objects.task(inputFrom=source)
    place = f"in namespace {user.namespace}"
    assert words_of(submit(user, task)) == (
        f"spec.inputFrom: {USER} may not get {kind} mail {place}: {READS}"
    )
    grant(user, {"": {resource: ["get"]}}, names=("other",))
    grant(user, {"": {resource: ["list"]}}, name="list")
    assert "may not get" in words_of(submit(user, task))
    grant(user, {"": {resource: ["get"]}}, names=("mail",))
    until(lambda: submit(user, task, "--dry-run=server").ok, "Task with the right")


@pytest.mark.usefixtures("policy")
def test_only_who_may_write_secrets_may_have_one_written(user: Kubectl) -> None:
    """Both the right to create Secrets and the one to update that very one are asked for."""
    task = objects.task(resultTo=TO_SECRET)
    place = f"in namespace {user.namespace}"
    grant(user, {"": {"secrets": ["update"]}}, names=("answer",))
    until(
        lambda: (
            words_of(submit(user, task))
            == f"spec.resultTo: {USER} may not create Secrets {place}: {STORES}"
        ),
        "refusal of the creation",
    )
    grant(user, {"": {"secrets": ["create"]}}, name="create")
    grant(user, {"": {"secrets": ["update"]}}, names=("other",))
    until(
        lambda: (
            words_of(submit(user, task))
            == f"spec.resultTo: {USER} may not update Secret answer {place}: {STORES}"
        ),
        "refusal of the update",
    )
    grant(user, {"": {"secrets": ["update"]}}, names=("answer",))
    until(lambda: submit(user, task, "--dry-run=server").ok, "Task with the rights")


@pytest.mark.usefixtures("policy")
def test_plain_tasks_and_cancellations_need_no_right_on_secrets(user: Kubectl) -> None:
    """Who may not read the Secret can create other Tasks, and cancel or label this one."""
    assert submit(user, objects.task("plain")).ok
    user.create(objects.task("sealed", inputFrom=FROM_SECRET))
    assert user.patch("task/plain", {"spec": {"cancel": True}}, AS_USER).ok
    assert user.patch("task/sealed", {"metadata": {"labels": {"a": "b"}}}, AS_USER).ok
    assert user.patch("task/sealed", {"spec": {"cancel": True}}, AS_USER).ok


def test_an_installation_without_secrets_refuses_such_tasks(
    cluster: Kubectl, user: Kubectl
) -> None:
    """Where it is switched off everybody is told so at once, even who has all rights."""
    try:
        enforce(cluster, no_secrets_policy(), "neither reads nor writes Secrets")
        for task in (objects.task(inputFrom=FROM_SECRET), objects.task(resultTo=TO_SECRET)):
            answer = user.send("create", task)
            assert "secrets.enabled of its chart" in words_of(answer)
        assert user.send("create", objects.task("plain")).ok
    finally:
        enforce(cluster, secrets_policy(), "may not get Secret")


# The way there and back


@pytest.fixture
def stage(kubectl: Kubectl, namespace: str, tmp_path: Path) -> Iterator[Stage]:
    """Return a stage with an operator that leads, and one agent."""
    with Stage(kubectl, namespace, tmp_path) as made:
        made.lead()
        made.crew(1)
        yield made


def put_secret(stage: Stage, value: Json) -> None:
    """Create the Secret with the input."""
    text = base64.b64encode(json.dumps(value).encode()).decode()
    metadata = {"name": "mail"}
    stage.api.post(
        SECRETS_PATH.format(stage.namespace), {"metadata": metadata, "data": {"input.json": text}}
    )


def sealed(stage: Stage, **spec: Any) -> None:
    """Create a Task whose payloads are elsewhere."""
    stage.submit(1, "sealed", input=None, inputFrom=FROM_SECRET, resultTo=TO_SECRET, **spec)


def result_of(stage: Stage) -> bytes:
    """Return the bytes of the result."""
    secret = stage.api.get(SECRETS_PATH.format(stage.namespace) + "/answer")
    return base64.b64decode(secret["data"]["result.json"])


def test_a_payload_goes_there_and_back_and_leaves_no_trace(stage: Stage) -> None:
    """The agent echoes a Secret's text into another Secret: it stands nowhere else at all."""
    put_secret(stage, {"secret": stage.canary})
    sealed(stage)
    stage.ended()
    status = stage.task("sealed0")["status"]
    assert status["phase"] == "Succeeded"
    assert status["resultRef"] == {"kind": "Secret", "name": "answer", "key": "result.json"}
    content = result_of(stage)
    assert json.loads(content)["echo"] == stage.canary
    assert status["resultDigest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    kinds = "tasks,agents,agentpools,pods,configmaps,events.events.k8s.io,leases,endpointslices"
    everything = stage.kubectl.run("get", kinds, "-o", "json", "--show-managed-fields")
    assert "sealed0" in everything.json()["items"][0]["metadata"]["name"] + everything.stdout
    assert stage.canary not in everything.stdout
    for replica in stage.replicas:
        assert stage.canary not in replica.process.log.read_text()
    assert stage.breaches() == []


def test_a_missing_secret_is_told_and_waited_for(stage: Stage) -> None:
    """Condition, Event and status say what is missing; the Task runs when it has come."""
    sealed(stage)

    def told() -> Json | None:
        status: Json = stage.task("sealed0")["status"]
        return status if status.get("reason") == "InputNotFound" else None

    status = until(told, "reason InputNotFound")
    assert (status["phase"], status.get("attempt", 0)) == ("Queued", 0)
    assert "there is no Secret mail" in status["message"]
    reasons = {one["type"]: one["reason"] for one in status["conditions"]}
    assert reasons["Ready"] == "InputNotFound"
    events = f"/apis/events.k8s.io/v1/namespaces/{stage.namespace}/events"
    until(
        lambda: [one for one in stage.api.get(events)["items"] if one["reason"] == "InputNotFound"],
        "Event InputNotFound",
    )
    assert stage.submit(1, "other") == ["other0"]
    stage.ended(["other0"])
    put_secret(stage, {"secret": stage.canary})
    stage.ended(["sealed0"])
    assert stage.task("sealed0")["status"]["attempt"] == 1


def test_a_secret_that_exists_is_left_as_it_is(stage: Stage) -> None:
    """A Task that names somebody's Secret fails as ResultRefused and changes nothing there."""
    put_secret(stage, {"secret": stage.canary})
    path = SECRETS_PATH.format(stage.namespace)
    theirs = stage.api.post(path, {"metadata": {"name": "answer"}, "data": {"password": "eA=="}})
    sealed(stage)
    stage.ended()
    status = stage.task("sealed0")["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "ResultRefused")
    assert stage.api.get(f"{path}/answer") == theirs


def test_a_result_is_stored_once_though_the_operator_is_killed(stage: Stage) -> None:
    """SIGKILL right after the Secret's write: the agent reports again and the Task succeeds."""
    put_secret(stage, {"secret": stage.canary, "sleep": 2})
    sealed(stage)
    stage.running(["sealed0"])
    process = stage.replicas[0].process
    path = SECRETS_PATH.format(stage.namespace) + "/answer"
    until(lambda: stage.kubectl.run("get", "--raw", path).ok, "result Secret", every=0.01)
    process.kill()
    process.start()
    stage.ended()
    assert stage.task("sealed0")["status"]["phase"] == "Succeeded"
    assert json.loads(result_of(stage))["echo"] == stage.canary
    assert stage.breaches() == []
