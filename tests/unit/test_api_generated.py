"""The generator: what it writes is current, complete, and refuses what it cannot translate."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field

from agentcorps.api import kinds
from agentcorps.api.meta import ApiModel
from agentcorps.api.names import MAX_INPUT_BYTES
from generate import files, policies
from generate.crds import DEFINITIONS, MAX_CRD_BYTES, crd
from generate.structural import UnsupportedSchemaError, structural_schema
from support.bad_input import BadInput
from support.bad_inputs import BAD_INPUTS

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference/bad-inputs.md").read_text()
CRDS = {definition.kind.kind: crd(definition) for definition in DEFINITIONS}

Schema = dict[str, Any]


RULES = "x-kubernetes-validations"


def schema_of(kind: str) -> Schema:
    """Return the schema of a kind."""
    schema: Schema = CRDS[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Yield each field of ours with its path; a pod template counts as one field."""
    if path:
        yield path, schema
    if path.endswith(".podTemplate"):
        return
    for name, field in schema.get("properties", {}).items():
        if path or name in {"spec", "status"}:
            yield from fields(field, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if inner in schema:
            yield from fields(schema[inner], f"{path}[]")


FIELDS = [(kind, path, field) for kind in CRDS for path, field in fields(schema_of(kind))]


@pytest.mark.parametrize("name", files.generated_files())
def test_generated_files_are_current(name: str) -> None:
    """Each generated file in the repository is what the models say today."""
    assert (ROOT / name).read_text() == files.generated_files()[name], "run `make generate`"


@pytest.mark.parametrize(("kind", "path", "field"), FIELDS, ids=lambda part: str(part)[:60])
def test_fields_are_described_and_bounded(kind: str, path: str, field: Schema) -> None:
    """Each field has a text; each list, map, number and string that people write has a bound."""
    assert field.get("description") or path.endswith("[]"), f"{kind}{path} has no description"
    assert "$ref" not in field
    assert "anyOf" not in field
    match field.get("type"):
        case "array":
            assert "maxItems" in field
            assert "x-kubernetes-list-type" in field
        case "integer" | "number":
            assert "minimum" in field
        case "string":
            assert {"maxLength", "enum", "format"} & field.keys()
        case "object":
            assert "properties" in field or "maxProperties" in field or path == ".spec.input"
        case other:
            assert other in {"boolean", None}


@pytest.mark.parametrize("kind", CRDS)
def test_crds_fit_the_annotation_of_a_client_side_apply(kind: str) -> None:
    """A CRD is clear of the 262,144 bytes that kubectl can keep in its annotation."""
    assert len(json.dumps(CRDS[kind])) < MAX_CRD_BYTES


def test_only_phase_and_observed_generation_have_defaults_in_status() -> None:
    """A status that nobody wrote says that nothing was observed, and a Task that it is queued."""
    defaults = {kind: schema_of(kind)["properties"]["status"]["default"] for kind in CRDS}
    assert defaults == {
        "Agent": {"observedGeneration": -1, "phase": "Pending"},
        "AgentPool": {"observedGeneration": -1},
        "Task": {"observedGeneration": -1, "phase": "Queued"},
    }
    inside = [path for _, path, field in FIELDS if "default" in field and ".status." in path]
    assert inside == []


def test_immutability_covers_every_field_of_a_task() -> None:
    """No field of a Task's spec is forgotten in the rules that keep it as it was."""
    spec = schema_of("Task")["properties"]["spec"]
    kept = {
        name
        for name, field in spec["properties"].items()
        if "self == oldSelf" in {rule["rule"] for rule in field.get(RULES, ())}
    }
    assert kept == {*spec["properties"]} - {"cancel"}
    on_spec = {rule["fieldPath"]: rule["rule"] for rule in spec[RULES] if "oldSelf" in rule["rule"]}
    assert "oldSelf.cancel" in on_spec.pop(".cancel")
    absent = {name for name in kept if "default" not in spec["properties"][name]}
    assert on_spec == {f".{name}": f"has(self.{name}) == has(oldSelf.{name})" for name in absent}


@pytest.mark.parametrize("kind", kinds.KINDS, ids=lambda kind: kind.kind)
def test_the_chart_carries_the_same_crds(kind: kinds.Kind) -> None:
    """A chart's CRD, its template lines aside, is the CRD, and is kept only on demand."""
    text = (ROOT / f"helm/agentcorps/templates/crds/{kind.plural}.yaml").read_text()
    plain = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("{{-"))
    rendered = yaml.safe_load(plain)
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert rendered == CRDS[kind.kind]
    assert text.count("{{- if") == text.count("{{- end }}") == 2


def test_braces_in_texts_are_not_taken_for_templates() -> None:
    """A double brace in a description comes out of Helm as it went in."""
    text = files.chart_crd("metadata:\n  name: x\ndescription: use {{ braces }}\n")
    assert 'use {{ "{{" }} braces }}' in text


def test_the_policy_has_the_limit_of_the_models() -> None:
    """The size that the policy enforces is the one that CLI and operator enforce."""
    policy, binding = policies.input_size_policy()
    assert f"<= {MAX_INPUT_BYTES}" in policy["spec"]["validations"][0]["expression"]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]


class Everything(ApiModel):
    """One field of each form that the generator translates."""

    above: int = Field(gt=0, lt=10)
    maybe: str | None = None
    one: Literal["a"] = "a"
    anything: Any = None
    values: dict[str, Any] = Field(default_factory=lambda: {"a": 1})


def test_forms_that_a_structural_schema_lacks_are_translated() -> None:
    """Exclusive bounds, nulls, constants, untyped values and factories become what CRDs know."""
    properties = structural_schema(Everything)["properties"]
    keep = "x-kubernetes-preserve-unknown-fields"
    assert properties == {
        "above": {"type": "integer", "minimum": 1, "maximum": 9},
        "maybe": {"type": "string"},
        "one": {"type": "string", "enum": ["a"], "default": "a"},
        "anything": {keep: True},
        "values": {"type": "object", keep: True, "default": {"a": 1}},
    }


class Union(ApiModel):
    """A field of two types."""

    value: int | str


class Tuple(ApiModel):
    """A list with a type for each place."""

    value: tuple[int, str]


class Norwegian(ApiModel):
    """A field that YAML 1.1 reads as a boolean."""

    no: int


class Multiple(ApiModel):
    """A keyword that has no counterpart."""

    value: Annotated[int, Field(multiple_of=3)]


@pytest.mark.parametrize("model", [Union, Tuple, Norwegian, Multiple])
def test_what_cannot_be_translated_is_refused(model: type[ApiModel]) -> None:
    """A model that no CRD can express stops the generator instead of losing a rule."""
    with pytest.raises(UnsupportedSchemaError):
        structural_schema(model)


@pytest.mark.parametrize("case", BAD_INPUTS, ids=lambda case: case.title.replace(" ", "-"))
def test_the_reference_lists_each_bad_input(case: BadInput) -> None:
    """docs/reference/bad-inputs.md has a row for each bad input, with its exact words."""
    words = "<br>".join(f"`{problem}`" for problem in case.problems)
    assert f"| {case.title} | {case.by} | {case.verb} | {words} |" in REFERENCE
