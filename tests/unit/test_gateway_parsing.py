"""Parsing what agents send: whatever it is, it is a value or a refusal."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api.protocol import CompleteRequest, HelloRequest, TaskRef
from agentcorps.control.refusals import ProtocolError
from agentcorps.gateway.parsing import bearer_token, parse_body, parse_ref
from agentcorps.gateway.routes import ROUTES

REQUESTS = sorted({route.request for route in ROUTES}, key=lambda model: model.__name__)
NAMES = sorted({info.alias or name for one in REQUESTS for name, info in one.model_fields.items()})
INSTANCE = "0123456789abcdef"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
bodies = st.dictionaries(st.sampled_from(NAMES), json_values) | json_values


def parsed_or_refused(model: type[Any], raw: bytes) -> None:
    """Parse; only a 422 may come out of it."""
    try:
        parse_body(model, raw)
    except ProtocolError as error:
        assert (error.status, bool(error.detail)) == (422, True)  # noqa: PT017 -- both are right


@pytest.mark.parametrize("model", REQUESTS)
@given(raw=st.binary())
def test_any_bytes(model: type[Any], raw: bytes) -> None:
    """Any bytes are a request or a 422, never another error."""
    parsed_or_refused(model, raw)


@pytest.mark.parametrize("model", REQUESTS)
@given(body=bodies)
def test_any_json(model: type[Any], body: Any) -> None:
    """Any JSON, also with the protocol's own field names, is a request or a 422."""
    parsed_or_refused(model, json.dumps(body).encode(errors="surrogatepass"))


@given(result=json_values)
def test_results_can_be_stored(result: Any) -> None:
    """A result that is taken can be written as JSON again: no NaN, no lone surrogate, no abyss."""
    raw = json.dumps({"instance": INSTANCE, "result": result}).encode()
    try:
        taken = parse_body(CompleteRequest, raw)
    except ProtocolError:
        return
    json.dumps(taken.result, allow_nan=False).encode()
    orjson.dumps(taken.result)


@pytest.mark.parametrize(
    "result",
    ["NaN", "Infinity", "1e999", '"\\ud800"', "[" * 300 + "]" * 300, "[" * 9000 + "]" * 9000],
)
def test_what_cannot_be_stored_is_refused(result: str) -> None:
    """NaN, infinities, lone surrogates and bottomless nesting are 422."""
    raw = f'{{"instance":"{INSTANCE}","result":{result}}}'.encode()
    with pytest.raises(ProtocolError, match="422 Malformed: body: "):
        parse_body(CompleteRequest, raw)


@given(uid=st.text(), attempt=st.text() | st.integers().map(str))
def test_any_path(uid: str, attempt: str) -> None:
    """Any path is a reference that says the same, or a 422."""
    try:
        ref = parse_ref({"uid": uid, "attempt": attempt})
    except ProtocolError as error:
        assert error.status == 422  # noqa: PT017 -- both are right
    else:
        assert ref == TaskRef(uid=uid, attempt=int(attempt))


@given(header=st.none() | st.text())
def test_any_header(header: str | None) -> None:
    """Any Authorization header has a token or is 401."""
    try:
        assert bearer_token(header)
    except ProtocolError as error:
        assert error.status == 401  # noqa: PT017 -- both are right


def test_unknown_fields_are_ignored() -> None:
    """An agent that knows a later protocol may send more fields."""
    raw = orjson.dumps({"instance": INSTANCE, "result": 1, "later": True})
    assert parse_body(CompleteRequest, raw).result == 1


@pytest.mark.parametrize(("slots", "whole"), [("2", True), ("2.0", True), ("2.5", False)])
def test_whole_numbers_in_any_form(slots: str, *, whole: bool) -> None:
    """JSON Schema has 2.0 for an integer, and so has the gateway; 2.5, "2" and true are none."""
    raw = f'{{"protocolVersion":1,"instance":"{INSTANCE}","slots":%s}}'
    if whole:
        assert parse_body(HelloRequest, (raw % slots).encode()).slots == 2
        return
    for wrong in (slots, f'"{slots}"', "true"):
        with pytest.raises(ProtocolError, match="slots"):
            parse_body(HelloRequest, (raw % wrong).encode())
