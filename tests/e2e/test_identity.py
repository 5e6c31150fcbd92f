"""Who may speak to the gateway, and what an agent's pod can do to the cluster."""

import json
from collections.abc import Callable, Iterator

import pytest

from support.crew import Crew
from support.door import Door
from support.kubectl import Kubectl
from support.live_agent import AUDIENCE, pod_token
from support.poll import until

FORGED = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
INSTANCE = "0123456789abcdef"
API_CALL = """
import json, os, ssl, urllib.error, urllib.request
token = open(os.environ["AGENTCORPS_TOKEN_FILE"]).read()
context = ssl._create_unverified_context()
answers = []
for headers in ({}, {"Authorization": f"Bearer {token}"}):
    request = urllib.request.Request("https://kubernetes.default.svc" + PATH, headers=headers)
    try:
        answers.append(urllib.request.urlopen(request, timeout=20, context=context).status)
    except urllib.error.HTTPError as error:
        answers.append(error.code)
mounted = os.path.exists("/var/run/secrets/kubernetes.io")
print(json.dumps({"answers": answers, "mounted": mounted}))
"""

METRICS = "https://agentcorps-metrics.agentcorps-system.svc:8444/metrics"
SCRAPE = """
import json, os, ssl, sys, urllib.error, urllib.request
context = ssl.create_default_context(cadata=os.environ["AGENTCORPS_CA"])
answers = []
for token in json.load(sys.stdin):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(URL, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            answers.append([answer.status, answer.read().decode()])
    except urllib.error.HTTPError as error:
        answers.append([error.code, error.read().decode()])
print(json.dumps(answers))
"""


def outsider(crew: Crew) -> None:
    """Create a pod that is no agent's."""
    container = {
        "name": "main",
        "image": crew.image,
        "command": ["sleep", "3600"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
            "runAsNonRoot": True,
        },
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    metadata = {"name": "outsider"}
    crew.kubectl.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    waited = crew.kubectl.run("wait", "--for=condition=Ready", "pod/outsider", "--timeout=120s")
    assert waited.ok, waited.stderr


@pytest.fixture(scope="module")
def door(pair: Crew) -> Door:
    """Return the gateway as a pod sees it that is no agent's."""
    outsider(pair)
    return Door.seen_by(pair.kubectl, "crew-0", via="outsider")


def test_call_without_a_good_token_is_refused(door: Door) -> None:
    """No token, or one that nobody signed, is answered 401."""
    assert door.hello("", INSTANCE).status == 401
    assert door.hello("nonsense", INSTANCE).status == 401
    assert door.hello(FORGED, INSTANCE).status == 401


def test_token_of_another_audience_is_refused(door: Door, pair: Crew) -> None:
    """A token of the agent's own pod that was made for the API server is answered 401."""
    token = pod_token(pair.kubectl, "crew-0", audience="https://kubernetes.default.svc")
    assert door.hello(token, INSTANCE).status == 401


def test_token_that_names_no_pod_is_refused(door: Door, pair: Crew) -> None:
    """A token of the right audience that is bound to no pod is answered 401."""
    made = pair.kubectl.run("create", "token", "default", f"--audience={AUDIENCE}")
    assert made.ok, made.stderr
    assert door.hello(made.stdout.strip(), INSTANCE).status == 401


def test_pod_that_is_no_agent_is_refused(door: Door, pair: Crew) -> None:
    """A good token of a pod that the operator did not make is answered 403."""
    token = pod_token(pair.kubectl, "outsider")
    assert door.hello(token, INSTANCE).refusal == (403, "NotAnAgent")


def test_pod_that_only_looks_like_an_agents_is_refused(door: Door, pair: Crew) -> None:
    """Labelling one's own pod as an agent's does not make it one."""
    label = "agentcorps.dev/agent=crew-0"
    assert pair.kubectl.run("label", "pod/outsider", label).ok
    token = pod_token(pair.kubectl, "outsider")
    assert door.hello(token, INSTANCE).status == 403
    assert pair.agents("crew")["crew-0"]["status"]["instance"] != INSTANCE


def test_stolen_token_dies_with_its_pod(door: Door, pair: Crew) -> None:
    """A token taken from an agent's pod is answered 401 as soon as that pod is gone."""
    uid = pair.kubectl.get("pod/crew-1")["metadata"]["uid"]
    taken = pair.kubectl.run("exec", "crew-1", "--", "cat", "/var/run/secrets/agentcorps.dev/token")
    assert taken.ok, taken.stderr
    token = taken.stdout.strip()
    ref = "00000000-0000-0000-0000-000000000000"
    assert door.complete(token, INSTANCE, ref, 1).refusal == (404, "UnknownTask")
    assert pair.kubectl.run("delete", "pod/crew-1", "--wait=false").ok

    def replaced() -> bool:
        found = pair.kubectl.run("get", "pod/crew-1", "-o", "jsonpath={.metadata.uid}")
        return found.stdout not in {"", uid}

    until(replaced, "a new pod crew-1")
    assert door.complete(token, INSTANCE, ref, 1).status == 401
    pair.ready("crew", 2)


def test_agent_cannot_report_anothers_task(door: Door, pair: Crew) -> None:
    """An agent that reports on another agent's Task is answered 403, and changes nothing."""
    pair.submit("guarded", {"do": "hold"})
    task = pair.started("guarded")
    owner, uid = task["status"]["agentName"], task["metadata"]["uid"]
    thief = next(name for name in pair.agents("crew") if name != owner)
    token = pod_token(pair.kubectl, thief)
    instance = pair.agents("crew")[thief]["status"]["instance"]
    assert door.complete(token, instance, uid, 1).refusal == (403, "NotYours")
    assert door.complete(token, task["status"]["agentInstance"], uid, 1).status == 403
    pair.release(task)
    status = pair.ended("guarded")["status"]
    assert (status["phase"], status["result"]["by"]) == ("Succeeded", owner)


def test_agent_of_another_namespace_cannot_report(
    door: Door, pair: Crew, cluster: Kubectl, new_namespace: Callable[[], str]
) -> None:
    """To an agent of another namespace a Task does not exist: 404, and nothing changes."""
    abroad = Crew(cluster.within(new_namespace()), pair.image)
    abroad.prepare()
    abroad.pool("crew", 1)
    pair.submit("elsewhere", {"do": "hold"})
    task = pair.started("elsewhere")
    token = pod_token(abroad.kubectl, "crew-0")
    uid, instance = task["metadata"]["uid"], task["status"]["agentInstance"]
    assert door.complete(token, instance, uid, 1).refusal == (404, "UnknownTask")
    pair.release(task)
    assert pair.ended("elsewhere")["status"]["result"]["attempt"] == 1


@pytest.mark.parametrize(
    "path", ["/api/v1/namespaces/default/pods", "/apis/agentcorps.dev/v1alpha1/tasks"]
)
def test_agent_has_no_rights_at_the_api_server(pair: Crew, path: str) -> None:
    """An agent's pod has no token of the API server, and its own is refused there."""
    program = f"PATH = {path!r}\n{API_CALL}"
    said = json.loads(pair.kubectl.run("exec", "crew-0", "--", "python3", "-c", program).stdout)
    assert not said["mounted"]
    assert set(said["answers"]) <= {401, 403}


@pytest.fixture
def reader(pair: Crew) -> Iterator[str]:
    """Return a token of an account that the chart's role for metrics is bound to."""
    assert pair.kubectl.run("create", "serviceaccount", "reader").ok
    binding, role = f"reader-{pair.namespace}", "agentcorps-metrics-reader"
    options = (f"--clusterrole={role}", f"--serviceaccount={pair.namespace}:reader")
    bound = pair.kubectl.run("create", "clusterrolebinding", binding, *options)
    assert bound.ok, bound.stderr
    yield pair.kubectl.run("create", "token", "reader").stdout.strip()
    pair.kubectl.run("delete", "clusterrolebinding", binding)


def test_metrics_are_for_those_who_may_read_them(pair: Crew, reader: str) -> None:
    """Nobody: 401; an account without the role: 403; with it all, by the Service's own name."""
    stranger = pair.kubectl.run("create", "token", "default").stdout.strip()
    own = pod_token(pair.kubectl, "crew-0")
    tokens = json.dumps(["", own, stranger, reader])
    program = f"URL = {METRICS!r}\n{SCRAPE}"
    said = pair.kubectl.run("exec", "-i", "crew-0", "--", "python3", "-c", program, stdin=tokens)
    answers = said.json()
    assert [status for status, _ in answers] == [401, 401, 403, 200]
    assert "\nagentcorps_leader " in answers[-1][1]
    assert not [text for _, text in answers[:-1] if "agentcorps_leader" in text]
