"""From pydantic's JSON schema to the structural schema that a CRD must have."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, NoDefault
from pydantic_core import core_schema

from agentcorps.api.podtemplate import POD_TEMPLATE_MARK
from agentcorps.api.rules import IMMUTABLE, VALIDATIONS, cel

Schema = dict[str, Any]

LIST_TYPE = "x-kubernetes-list-type"
MAP_TYPE = "x-kubernetes-map-type"
PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"

_FIXED = "cannot be changed after creation (only cancel can): create a new Task instead"
# Read as booleans by YAML 1.1, so they must not be names of fields.
YAML_BOOLEANS = frozenset({"on", "off", "y", "n", "yes", "no", "true", "false"})
_KEPT = frozenset(
    {
        "description",
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "required",
        "type",
    }
)
_DROPPED = frozenset({"title", "default", "uniqueItems", IMMUTABLE})


class UnsupportedSchemaError(Exception):
    """A model uses what a structural schema lacks and the generator does not translate."""


class _WithFactoryDefaults(GenerateJsonSchema):
    """Writes the values of default factories out, which pydantic leaves away."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        factory = schema.get("default_factory")
        if factory is None:
            return schema.get("default", NoDefault)
        return factory()  # type: ignore[call-arg]  # none of ours takes the validated data


def structural_schema(model: type[BaseModel], pod_template: Schema | None = None) -> Schema:
    """Return the structural schema of `model`.

    Args:
        model: The model, with camelCase aliases.
        pod_template: Schema that stands where a model has a pod template.

    Raises:
        UnsupportedSchemaError: A keyword has no counterpart in a structural schema.
    """
    raw = TypeAdapter(model).json_schema(by_alias=True, schema_generator=_WithFactoryDefaults)
    return _Converter(raw.pop("$defs", {}), pod_template).convert(raw)


class _Converter:
    def __init__(self, definitions: dict[str, Schema], pod_template: Schema | None) -> None:
        self._definitions = definitions
        self._pod_template = pod_template

    def convert(self, schema: Schema) -> Schema:
        schema = self._bounded(self._single(self._resolved(schema)))
        if schema.pop(POD_TEMPLATE_MARK, False):
            if self._pod_template is None:
                raise UnsupportedSchemaError("a pod template where none is expected")
            return {**schema_text(schema), **self._pod_template}
        result: Schema = {}
        for key, value in schema.items():
            if key in _KEPT or key.startswith("x-kubernetes-"):
                result[key] = value
            elif key not in _DROPPED:
                result.update(self._translated(key, value))
        if schema.get("default") is not None:
            result["default"] = _without_nulls(schema["default"])
        if schema.get("uniqueItems"):
            result[LIST_TYPE] = "set"
        if result.get("type") == "array":
            result.setdefault(LIST_TYPE, "atomic")
        if "type" not in result and INT_OR_STRING not in result:
            result[PRESERVE] = True
        freeze(result, schema.get(IMMUTABLE, ()))
        return result

    def _translated(self, key: str, value: Any) -> Schema:
        """Return the counterpart of one keyword."""
        match key, value:
            case "properties", _:
                return {"properties": self._properties(value)}
            case "items", _:
                return {"items": self.convert(value)}
            case "additionalProperties", False:
                return {}
            case "additionalProperties", True:
                return {PRESERVE: True}
            case "additionalProperties", _:
                return {"additionalProperties": self.convert(value)}
            case "const", _:
                return {"enum": [value]}
            case _:
                raise UnsupportedSchemaError(f"keyword {key!r} has no place in a structural schema")

    def _properties(self, properties: dict[str, Schema]) -> dict[str, Schema]:
        for name in properties:
            if name.lower() in YAML_BOOLEANS:
                raise UnsupportedSchemaError(f"field {name!r} is a boolean for YAML 1.1")
        return {name: self.convert(schema) for name, schema in properties.items()}

    def _resolved(self, schema: Schema) -> Schema:
        """Put definitions in place of references; what stands beside a reference wins."""
        schema = dict(schema)
        while "$ref" in schema:
            name = schema.pop("$ref").removeprefix("#/$defs/")
            schema = {**self._definitions[name], **schema}
        return schema

    def _single(self, schema: Schema) -> Schema:
        """Take the one branch that is not null: an absent field is how the API says null."""
        if "anyOf" not in schema:
            return schema
        branches = [branch for branch in schema["anyOf"] if branch != {"type": "null"}]
        if len(branches) != 1:
            raise UnsupportedSchemaError("a union of types has no counterpart here")
        beside = {key: value for key, value in schema.items() if key != "anyOf"}
        return self._resolved({**branches[0], **beside})

    @staticmethod
    def _bounded(schema: Schema) -> Schema:
        """Turn exclusive integer bounds, which structural schemas lack, into inclusive ones."""
        if schema.get("type") == "integer":
            if "exclusiveMinimum" in schema:
                schema["minimum"] = schema.pop("exclusiveMinimum") + 1
            if "exclusiveMaximum" in schema:
                schema["maximum"] = schema.pop("exclusiveMaximum") - 1
        return schema


def freeze(schema: Schema, names: Sequence[str]) -> None:
    """Add the rules that keep fields of an object as they were created.

    One on the field sees that it does not change, one on the object that it is neither removed nor
    added; what has a default is never absent. Comparing on the object alone would do, but names the
    field five times, and for each the API server (1.37) copies the schemas of all its neighbours:
    with every write of a status, which is checked with the spec beside it.
    """
    fields = schema.get("properties", {})
    for name in names:
        rules = [*fields[name].get(VALIDATIONS, ()), cel("self == oldSelf", _FIXED)]
        fields[name][VALIDATIONS] = rules
    presence = [
        cel(f"has(self.{name}) == has(oldSelf.{name})", _FIXED, path=f".{name}")
        for name in names
        if "default" not in fields[name]
    ]
    if presence:
        schema[VALIDATIONS] = [*presence, *schema.get(VALIDATIONS, ())]


def schema_text(schema: Schema) -> Schema:
    """Return only the description of a schema."""
    return {"description": schema["description"]} if "description" in schema else {}


def _without_nulls(default: Any) -> Any:
    """A default without what is None in the model: there it means absent, which null is not."""
    if isinstance(default, dict):
        return {key: _without_nulls(value) for key, value in default.items() if value is not None}
    if isinstance(default, (list, tuple)):
        return [_without_nulls(value) for value in default]
    return default
