"""Inputs and results in Secrets and ConfigMaps: what is taken, what is refused, in which words."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agentcorps.api.meta import TaskPhase, TaskReason
from agentcorps.api.names import MAX_INPUT_BYTES
from agentcorps.core.digest import canonical_digest, canonical_json
from agentcorps.core.fields import Malformed
from agentcorps.core.payloads import (
    StoredResult,
    Unusable,
    input_source,
    input_value,
    require_own,
    result_object,
)
from agentcorps.core.records import InputSource, Key, TaskRecord
from agentcorps.core.rests import LONGEST_REST_SECONDS, Rests
from agentcorps.core.wire import task_record, task_status

SECRET = InputSource("Secret", "mail", "input.json")
CONFIG_MAP = InputSource("ConfigMap", "mail", "input.json")
CANARY = "canary-91c2"


def secret(content: bytes, **labels: str) -> dict[str, Any]:
    """Return a Secret with this content under its key."""
    data = {"input.json": base64.b64encode(content).decode()}
    return {"metadata": {"name": "mail", "labels": labels}, "data": data}


def task(**spec: Any) -> TaskRecord:
    """Return a Task, running in its second attempt."""
    return task_record(
        {
            "metadata": {
                "namespace": "team",
                "name": "report",
                "uid": "uid-1",
                "resourceVersion": "7",
                "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {"pool": "crew", **spec},
            "status": {"phase": "Running", "attempt": 2, "agentName": "crew-0"},
        }
    )


def test_the_source_of_an_input_is_read_from_the_spec() -> None:
    """Each kind of reference becomes a source; a Task with its own input has none."""
    reference = {"name": "mail", "key": "input.json"}
    assert input_source({"inputFrom": {"secretKeyRef": reference}}) == SECRET
    assert input_source({"inputFrom": {"configMapKeyRef": reference}, "input": {}}) == CONFIG_MAP
    assert input_source({"input": {"a": 1}}) is None


@pytest.mark.parametrize(
    "spec",
    [
        {"inputFrom": {}},
        {"inputFrom": {"secretKeyRef": {"name": "mail"}}},
        {"inputFrom": {"secretKeyRef": {"name": "a", "key": "b"}}, "input": {"a": 1}},
        {
            "inputFrom": {
                "secretKeyRef": {"name": "a", "key": "b"},
                "configMapKeyRef": {"name": "a", "key": "b"},
            }
        },
        {"resultTo": {"secret": {}}},
        {"resultTo": {}},
    ],
)
def test_a_stored_spec_without_one_clear_place_is_invalid(spec: dict[str, Any]) -> None:
    """What an older, looser schema let through ends as an invalid object, not as a guess."""
    assert task(**spec).invalid.startswith("spec.")


def test_references_that_are_no_objects_are_malformed() -> None:
    """A reference of another type is told by its path."""
    with pytest.raises(Malformed, match=r"spec\.inputFrom\.secretKeyRef must be an object"):
        input_source({"inputFrom": {"secretKeyRef": "mail"}})


@given(some.dictionaries(some.text(), some.integers(-(2**53), 2**53) | some.text(), max_size=5))
def test_an_object_comes_out_as_it_would_from_the_spec(value: dict[str, Any]) -> None:
    """A JSON object in a Secret is the same input as in spec.input, whichever way it is written."""
    for text in (json.dumps(value), json.dumps(value, indent=3, ensure_ascii=True)):
        found = input_value(
            SECRET, secret(text.encode(errors="surrogatepass")), label_required=False
        )
        assert canonical_json(found) == canonical_json(value)


def test_config_maps_hold_inputs_as_text_or_as_bytes() -> None:
    """Both data and binaryData of a ConfigMap are read."""
    binary = {"binaryData": {"input.json": base64.b64encode(b'{"a": 2}').decode()}}
    as_text = {"data": {"input.json": '{"a": 1}'}}
    assert input_value(CONFIG_MAP, as_text, label_required=False) == {"a": 1}
    assert input_value(CONFIG_MAP, binary, label_required=False) == {"a": 2}


BAD_CONTENT = {
    "text": CANARY.encode(),
    "list": f'["{CANARY}"]'.encode(),
    "not UTF-8": b'{"a": "\xff' + CANARY.encode() + b'"}',
    "NaN": f'{{"{CANARY}": NaN}}'.encode(),
    "number without a double": f'{{"{CANARY}": 1e999}}'.encode(),
    "depth": b'{"a":' * 100_000,
    "empty": b"",
}


@pytest.mark.parametrize("content", BAD_CONTENT.values(), ids=BAD_CONTENT)
def test_what_is_no_json_object_ends_the_task(content: bytes) -> None:
    """Malformed content is final, says what is expected, and repeats nothing of it."""
    with pytest.raises(Unusable) as refused:
        input_value(SECRET, secret(content), label_required=False)
    assert (refused.value.reason, refused.value.waits) == (TaskReason.INPUT_INVALID, False)
    assert "key input.json of Secret mail must hold a JSON object" in refused.value.message
    assert CANARY not in refused.value.message
    assert refused.value.__cause__ is None


def test_an_input_has_the_limit_of_spec_input() -> None:
    """64 KiB of compact JSON pass, a byte more does not."""
    fits = {"text": "x" * (MAX_INPUT_BYTES - 11)}
    assert input_value(SECRET, secret(json.dumps(fits).encode()), label_required=False) == fits
    over = {"text": fits["text"] + "x"}
    with pytest.raises(Unusable, match="more than 65536") as refused:
        input_value(SECRET, secret(json.dumps(over).encode()), label_required=False)
    assert (refused.value.reason, refused.value.waits) == (TaskReason.INPUT_TOO_LARGE, False)


def test_a_missing_key_and_a_missing_label_are_waited_for() -> None:
    """Both can be mended without touching the Task."""
    with pytest.raises(Unusable, match="has no key input") as no_key:
        input_value(SECRET, {"metadata": {}}, label_required=False)
    with pytest.raises(Unusable, match="lacks the label agentcorps") as no_label:
        input_value(SECRET, secret(b"{}"), label_required=True)
    for refused in (no_key.value, no_label.value):
        assert (refused.reason, refused.waits) == (TaskReason.INPUT_NOT_FOUND, True)
    labelled = secret(b"{}", **{"agentcorps.dev/task-input": "true"})
    assert input_value(SECRET, labelled, label_required=True) == {}


def test_a_result_secret_belongs_to_its_task() -> None:
    """It is owned, labelled and numbered, and its bytes are what the digest is of."""
    record = task(resultTo={"secret": {"name": "answer"}})
    content = canonical_json({"b": 1, "a": [1.0]})
    made = result_object(record, content)
    assert made["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "agentcorps",
        "agentcorps.dev/task-uid": "uid-1",
    }
    assert base64.b64decode(made["data"]["result.json"]) == b'{"a":[1],"b":1}'
    require_own(made, record)
    require_own(made, replace(record, attempt=3))


def test_only_its_own_secret_is_a_tasks_to_overwrite() -> None:
    """Another Task's, a person's, one of a later attempt and a tampered one are left alone."""
    record = task(resultTo={"secret": {"name": "answer"}})
    mine = result_object(record, b"{}")["metadata"]
    others = [
        {"metadata": {"name": "answer"}},
        result_object(replace(record, uid="uid-2"), b"{}"),
        result_object(replace(record, attempt=3), b"{}"),
        {"metadata": {**mine, "ownerReferences": []}},
        {"metadata": {**mine, "labels": None}},
        {"metadata": {**mine, "annotations": {"agentcorps.dev/attempt": "²"}}},
    ]
    for other in others:
        with pytest.raises(Unusable, match="was not created for this Task") as refused:
            require_own(other, record)
        assert refused.value.reason == TaskReason.RESULT_REFUSED


def test_a_status_names_the_secret_instead_of_the_result() -> None:
    """A stored result leaves its name and digest in the status, and nothing else."""
    record = replace(task(), phase=TaskPhase.SUCCEEDED)
    digest = canonical_digest({"text": CANARY})
    status = task_status(record, StoredResult("answer", digest))
    assert status["resultRef"] == {"kind": "Secret", "name": "answer", "key": "result.json"}
    assert status["resultDigest"] == digest
    assert "result" not in status


def test_rests_grow_to_a_minute_and_are_forgotten() -> None:
    """1, 2, 4 … 60 s; only another reason is news; a task that is done begins anew."""
    rests = Rests()
    told = [rests.note("a", TaskReason.INPUT_NOT_FOUND, "no Secret", 100.0) for _ in range(8)]
    assert told == [True] + [False] * 7
    assert rests.until("a") == 100.0 + LONGEST_REST_SECONDS
    assert rests.note("a", TaskReason.INPUT_NOT_FOUND, "no key", 100.0)
    rests.forget("a")
    assert (rests.of("a"), rests.until("a")) == (None, 0.0)
    rests.note("a", None, "", 100.0)
    assert rests.until("a") == 101.0


def test_sources_read_well() -> None:
    """A source is named by key, kind and name."""
    assert str(SECRET) == "key input.json of Secret mail"
    assert task(pool="x").pool_key == Key("team", "x")
