"""Bad inputs on a real API server: refused in words that help, and nothing else suffers."""

import json

import pytest

from agentcorps.api.names import MAX_INPUT_BYTES, encoded_size
from generate.policies import INPUT_SIZE, input_size_policy
from support import objects
from support.bad_input import BadInput
from support.bad_inputs import BAD_INPUTS
from support.kubectl import Kubectl
from support.objects import Json
from support.poll import until

TOO_LARGE = (
    f'Error from server (RequestEntityTooLarge): error when creating "STDIN": tasks.agentcorps.dev'
    f" \"first\" is forbidden: ValidatingAdmissionPolicy '{INPUT_SIZE}' with binding"
    f" '{INPUT_SIZE}' denied request: spec.input: must have at most {MAX_INPUT_BYTES} bytes as"
    " JSON: keep large data elsewhere and pass a reference to it"
)
CANARY = "4111-1111-1111-1111"


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.title.replace(" ", "-"))
def test_bad_inputs_are_refused_with_path_and_rule(case: BadInput, kubectl: Kubectl) -> None:
    """A bad object is refused with the exact words, and the good one beside it is taken."""
    if case.before is not None:
        assert kubectl.send("apply", case.before).ok
    before = spec_of(kubectl, case.document)
    neighbour = good(case.document["kind"])
    answer = kubectl.send(case.verb, case.document, neighbour)
    # The API server tells what is wrong with several fields in any order.
    assert sorted(answer.stderr.splitlines()) == sorted(case.stderr.splitlines())
    assert not answer.ok
    assert spec_of(kubectl, case.document) == before
    assert spec_of(kubectl, neighbour)


def good(kind: str) -> Json:
    """Return a good object of a kind."""
    makers = {"Agent": objects.agent, "AgentPool": objects.pool, "Task": objects.task}
    return makers[kind]("neighbour")


def spec_of(kubectl: Kubectl, document: Json) -> str:
    """Return the spec that the API server has of an object; empty for one that it has not."""
    path = "jsonpath={.spec}"
    return kubectl.run("get", document["kind"], document["metadata"]["name"], "-o", path).stdout


@pytest.fixture(scope="module")
def size_policy(cluster: Kubectl) -> None:
    """Install the policy on the size of inputs and wait until the API server enforces it."""
    applied = cluster.send("apply", *input_size_policy(), options=("--server-side",))
    assert applied.ok, applied.stderr
    large = objects.task(input={"text": "x" * (MAX_INPUT_BYTES + 1)})
    probe = cluster.within("default")
    until(
        lambda: not probe.send("create", large, options=("--dry-run=server",)).ok,
        "refusal of a large input",
    )


@pytest.mark.usefixtures("size_policy")
def test_inputs_over_64_kib_are_refused_by_the_policy(kubectl: Kubectl) -> None:
    """An input over 64 KiB is refused with the remedy and without a word of it."""
    answer = kubectl.send("create", objects.task(input={"text": CANARY * MAX_INPUT_BYTES}))
    assert answer.stderr == TOO_LARGE
    assert kubectl.send("create", objects.task("neighbour")).ok


INPUTS: dict[str, Json] = {
    "text": {"text": "x" * (MAX_INPUT_BYTES - 11)},
    "umlauts": {"text": "ü" * 32_700},
    "escapes": {"text": '\n"\\' * 10_900},
    "prose": {"text": "word, key: value. " * 3_600},
    "small numbers": {"list": [1] * 32_700},
    "fractions": {"list": [0.5] * 16_000},
    "objects": {"list": [{"a": None}] * 5_900},
    "lists": {"list": [[[]]] * 10_000},
    "nothing": {},
}


@pytest.mark.usefixtures("size_policy")
@pytest.mark.parametrize("value", INPUTS.values(), ids=INPUTS)
def test_inputs_that_fit_are_never_refused(value: Json, kubectl: Kubectl) -> None:
    """The policy's measure refuses no input that is small enough as JSON, whatever its form."""
    assert encoded_size(value) <= MAX_INPUT_BYTES
    answer = kubectl.send("create", objects.task(input=value))
    assert answer.ok, answer.stderr


def test_refusals_do_not_repeat_the_input(kubectl: Kubectl) -> None:
    """Neither a wrong type nor a forbidden change makes the API server print the input."""
    assert kubectl.send("apply", objects.task(input={"text": CANARY})).ok
    for value in ([CANARY], CANARY, {"text": f"{CANARY}!"}):
        change = kubectl.patch("task/first", {"spec": {"input": value}})
        assert "spec.input" in change.stderr
        assert CANARY not in change.stderr


@pytest.mark.parametrize("kind", ["Agent", "AgentPool", "Task"])
def test_status_written_by_a_user_is_ignored(kind: str, kubectl: Kubectl) -> None:
    """A status in a manifest, or patched without the subresource, changes nothing."""
    document = {**good(kind), "status": {"observedGeneration": 9}}
    created = kubectl.create(document)
    assert created["status"]["observedGeneration"] == -1
    change = kubectl.patch(f"{kind}/neighbour", {"status": {"observedGeneration": 9}})
    assert change.ok
    assert kubectl.get(f"{kind}/neighbour")["status"] == created["status"]


def test_a_raw_client_gets_a_warning_for_an_unknown_field(kubectl: Kubectl) -> None:
    """Without strict validation an unknown field is dropped with a warning, not stored."""
    answer = kubectl.send(
        "create", objects.task(timeoutSecond=60), options=("--validate=warn", "-o", "json")
    )
    assert answer.stderr == 'Warning: unknown field "spec.timeoutSecond"'
    assert "timeoutSecond" not in json.loads(answer.stdout)["spec"]
