"""The OpenAPI document: complete, sound, and true to what the gateway serves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from agentcorps.api.protocol import HelloRequest, NextResponse, TaskRef
from agentcorps.gateway import build_app
from generate.openapi import document
from support.fake_gateway import FakeIdentities, FakeLeadership, FakeSessions, delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT = document()


def references(node: Any) -> Iterator[str]:
    """Every $ref below a node."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolve(reference: str) -> Any:
    """What a reference into the document points at."""
    node: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def validator(name: str) -> Draft202012Validator:
    """A validator for one of the document's schemas."""
    return Draft202012Validator({**DOCUMENT, "$ref": f"#/components/schemas/{name}"})


def test_documents_exactly_what_is_served() -> None:
    """The document's paths and methods are those of the server, no more and no fewer."""
    app = build_app(FakeSessions().answering, FakeIdentities(), FakeLeadership())
    served = {
        (route.resource.canonical, route.method.lower())
        for route in app.router.routes()
        if route.resource is not None
    }
    told = {(path, method) for path, item in DOCUMENT["paths"].items() for method in item}
    assert told == served


def test_references_lead_somewhere() -> None:
    """Every reference points at a part of the document."""
    found = set(references(DOCUMENT))
    assert found
    assert all(isinstance(resolve(reference), dict) for reference in found)


def test_nothing_is_left_over() -> None:
    """Every schema and response of the components is used."""
    used = set(references(DOCUMENT))
    for kind in ("schemas", "responses"):
        assert {f"#/components/{kind}/{name}" for name in DOCUMENT["components"][kind]} <= used


def test_operations_are_complete() -> None:
    """Each operation has a unique name, a summary, its path's parameters and the usual errors."""
    operations = {path: item["post"] for path, item in DOCUMENT["paths"].items()}
    assert len({one["operationId"] for one in operations.values()}) == len(operations)
    for path, one in operations.items():
        assert one["summary"]
        assert {"401", "413", "422", "503"} <= set(one["responses"])
        assert {"200", "204"} & set(one["responses"])
        named = [parameter["name"] for parameter in one.get("parameters", [])]
        assert named == re.findall(r"{(\w+)}", path)


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_schemas_are_valid(name: str) -> None:
    """Each schema is a valid JSON Schema, and each of its fields is explained."""
    schema = DOCUMENT["components"]["schemas"][name]
    Draft202012Validator.check_schema(schema)
    assert all(field.get("description") for field in schema["properties"].values())


def test_schemas_take_what_is_sent() -> None:
    """What the models write is valid by the document, and what they refuse is not."""
    hello = HelloRequest(
        protocol_version=1,
        instance="0123456789",
        slots=1,
        running=[TaskRef(uid="a", attempt=1)],
    )
    sent = hello.model_dump(mode="json", by_alias=True)
    validator("HelloRequest").validate(sent)
    assert not validator("HelloRequest").is_valid({**sent, "slots": 0})
    answer = NextResponse(epoch=1, tasks=[delivery("a", input={"x": None})])
    validator("NextResponse").validate(answer.model_dump(mode="json", by_alias=True))
