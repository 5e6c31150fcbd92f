"""From documents and options to Tasks: what wins, what is added, what is refused before sending."""

from typing import Any

import pytest

from agentcorps.api.kinds import AGENT_POOL, TASK
from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import Document
from agentcorps.cli.manifests import (
    TaskSettings,
    check,
    labels_from,
    task_from_input,
    task_from_manifest,
    whole_object,
)
from support import objects

NONE = TaskSettings()


def document(value: dict[str, Any]) -> Document:
    """Return a document of a file."""
    return Document(value, "f.yaml document 1")


def test_an_input_becomes_a_task_of_the_pool() -> None:
    """An input alone needs only a pool; the name is made up from it."""
    task = task_from_input(document({"text": "x"}), TaskSettings(pool="readers"))
    assert task.value == {
        "apiVersion": "agentcorps.dev/v1alpha1",
        "kind": "Task",
        "metadata": {"generateName": "readers-"},
        "spec": {"input": {"text": "x"}, "pool": "readers"},
    }


def test_an_input_with_spec_like_keys_stays_an_input() -> None:
    """What --input-file holds is never taken for a spec, whatever its keys are."""
    task = task_from_input(document({"input": 1, "kind": "x"}), TaskSettings(pool="readers"))
    assert task.value["spec"]["input"] == {"input": 1, "kind": "x"}


def test_options_go_before_the_document() -> None:
    """Every option replaces what the document says; labels are merged."""
    whole = objects.task(pool="writers", priority=1, retry={"limit": 9}, requires=["a"])
    whole["metadata"]["labels"] = {"a": "1", "b": "1"}
    settings = TaskSettings(
        pool="readers",
        requires=("b", "c"),
        priority=0,
        timeout_seconds=5,
        retry_limit=0,
        ttl_seconds=0,
        name="other",
        labels=("b=2",),
    )
    task = task_from_manifest(document(whole), settings).value
    assert task["metadata"] == {"name": "other", "labels": {"a": "1", "b": "2"}}
    assert task["spec"] == {
        "pool": "readers",
        "requires": ["b", "c"],
        "priority": 0,
        "timeoutSeconds": 5,
        "retry": {"limit": 0},
        "ttlSecondsAfterFinished": 0,
    }


def test_generate_name_replaces_a_name() -> None:
    """A prefix on the command line replaces the document's name, so that it can be sent again."""
    task = task_from_manifest(document(objects.task("first")), TaskSettings(generate_name="x-"))
    assert task.value["metadata"] == {"generateName": "x-"}


def test_a_document_without_kind_is_a_spec() -> None:
    """A bare spec is enough for a Task."""
    task = task_from_manifest(document({"pool": "readers", "input": {}}), NONE)
    assert task.value["spec"] == {"pool": "readers", "input": {}}


def test_what_the_server_wrote_is_not_sent() -> None:
    """An object saved from the cluster can be sent again: it is as its author wrote it."""
    written = objects.task()
    stored = {**written, "status": {"phase": "Queued"}}
    stored["metadata"] = {**written["metadata"], "uid": "u", "resourceVersion": "1"}
    assert whole_object(TASK, document(stored)) == written


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another kind": (objects.pool(), "must be an agentcorps.dev/v1alpha1 Task, not agentcorps.dev"),
    "another version": (
        objects.task() | {"apiVersion": "agentcorps.dev/v9"},
        "must be an agentcorps.dev/v1alpha1 Task, not agentcorps.dev/v9 Task",
    ),
    "no metadata": ({"apiVersion": "agentcorps.dev/v1alpha1", "kind": "Task"}, "metadata must be"),
    "no pool": ({"input": {}}, "names no pool: add --pool, or spec.pool"),
    "pool and selector": (
        {"pool": "p", "agentSelector": {"matchLabels": {"size": "big"}}},
        "names both a pool and an agentSelector: leave one of them out",
    ),
    "too large": (
        {"pool": "p", "input": {"text": "x" * 65536}},
        "input has 65547 bytes, more than the 65536 that a Task may carry",
    ),
    "not JSON": (
        {"pool": "p", "input": {"x": b"y"}},
        "input holds a value that JSON does not have",
    ),
    "infinite": ({"pool": "p", "input": {"x": float("inf")}}, "input holds a value that JSON"),
}


@pytest.mark.parametrize(("value", "expected"), REFUSED.values(), ids=REFUSED)
def test_bad_documents_are_refused(value: dict[str, Any], expected: str) -> None:
    """What cannot become a Task is refused, with the document's place and the way out."""
    with pytest.raises(InputError) as caught:
        task_from_manifest(document(value), NONE)
    assert str(caught.value).startswith(f"f.yaml document 1: {expected}")


def test_the_largest_input_is_taken() -> None:
    """An input of exactly 64 KiB passes."""
    room = 65536 - len('{"text":""}')
    value = {"pool": "p", "input": {"text": "x" * room}}
    assert task_from_manifest(document(value), NONE).value["spec"] == value


CHECKED: dict[str, tuple[dict[str, Any], str]] = {
    "typo": (objects.task(inptu={}), "spec.inptu: is not a known field"),
    "nested typo": (objects.task(retry={"limits": 1}), "spec.retry.limits: is not a known field"),
    "list as input": (objects.task(input=[]), "spec.input: must be an object"),
    "zero timeout": (objects.task(timeoutSeconds=0), "spec.timeoutSeconds: must be at least 1"),
}


@pytest.mark.parametrize(("value", "expected"), CHECKED.values(), ids=CHECKED)
def test_specs_are_checked_before_sending(value: dict[str, Any], expected: str) -> None:
    """What the schema refuses is refused here already, so no earlier document was sent in vain."""
    with pytest.raises(InputError) as caught:
        check(TASK, document(value), "default")
    assert str(caught.value) == f"f.yaml document 1: {expected}"


def test_namespace_must_fit() -> None:
    """An object of another namespace is not silently sent elsewhere."""
    value = objects.task()
    value["metadata"]["namespace"] = "other"
    with pytest.raises(InputError, match=r"metadata\.namespace is not 'default'"):
        check(TASK, document(value), "default")
    check(TASK, document(value), "other")


def test_pools_need_a_name() -> None:
    """A manifest without a name is refused."""
    value = objects.pool()
    value["metadata"] = {}
    with pytest.raises(InputError, match=r"metadata\.name is missing"):
        check(AGENT_POOL, document(value), "default")


@pytest.mark.parametrize("pair", ["a", "=b", ""])
def test_pairs_need_key_and_value(pair: str) -> None:
    """KEY=VALUE arguments without either are refused."""
    with pytest.raises(InputError, match="--label must have the form KEY=VALUE"):
        labels_from([pair], "--label")


def test_labels_stand_instead_of_a_pool() -> None:
    """--agent-selector goes before the pool that a document names, and the other way round."""
    labels = {"matchLabels": {"size": "big", "tier": "gold"}}
    chosen = TaskSettings(agent_selector=("size=big", "tier=gold"), affinity_key="session-4")
    task = task_from_manifest(document({"pool": "readers", "input": {}}), chosen)
    assert task.value["spec"] == {"input": {}, "agentSelector": labels, "affinityKey": "session-4"}
    assert task.value["metadata"] == {"generateName": "task-"}
    back = task_from_manifest(document({"agentSelector": labels}), TaskSettings(pool="readers"))
    assert back.value["spec"] == {"pool": "readers"}


def test_a_pool_and_labels_are_too_much() -> None:
    """Both options at once are refused."""
    both = TaskSettings(pool="readers", agent_selector=("size=big",))
    with pytest.raises(InputError, match="names both a pool and an agentSelector"):
        task_from_manifest(document({"input": {}}), both)
