"""CEL rules beside the fields that they guard; the generator copies them into the CRDs."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from agentcorps.api.names import (
    CAPABILITY_PATTERN,
    DNS_LABEL_PATTERN,
    LABEL_KEY_PATTERN,
    LABEL_VALUE_PATTERN,
    MAX_LABEL_LENGTH,
    MAX_POOL_NAME_LENGTH,
)

VALIDATIONS: Final = "x-kubernetes-validations"
IMMUTABLE: Final = "x-agentcorps-immutable"


def cel(rule: str, message: str, *, path: str | None = None) -> dict[str, str]:
    """Return one validation rule.

    Args:
        rule: CEL expression that must hold.
        message: What a person reads when it does not: what is wrong and what to do.
        path: Field that is blamed, relative to the rule's place, e.g. `.pool`.
    """
    entry = {"rule": rule, "message": message}
    return entry if path is None else {**entry, "fieldPath": path}


def validated(*rules: dict[str, str]) -> dict[str, Any]:
    """Return JSON-schema extras that carry `rules`."""
    return {VALIDATIONS: list(rules)}


def matches(pattern: str, message: str) -> dict[str, Any]:
    """Return extras for a string that must match `pattern`; the message says so in words."""
    # A raw CEL string: the patterns hold backslashes but no single quote.
    return validated(cel(f"self.matches(r'{pattern}')", message))


def immutable(*fields: str) -> dict[str, Any]:
    """Return extras of an object whose `fields` stay as they were created.

    The generator makes rules of it, because it takes two, in two places: see its `freeze`.
    """
    return {IMMUTABLE: list(fields)}


def child_name_rule(limit: int, why: str) -> list[dict[str, str]]:
    """Return the rules on an object's own name: a DNS label of at most `limit` characters."""
    return [
        cel(
            f"self.metadata.name.size() <= {limit}",
            f"must have at most {limit} characters, {why}",
            path=".metadata.name",
        ),
        cel(
            "!self.metadata.name.contains('.')",
            "must not contain dots: pods and their host names are called after it",
            path=".metadata.name",
        ),
    ]


Capability = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_LABEL_LENGTH,
        json_schema_extra=matches(
            CAPABILITY_PATTERN,
            "must consist of letters, digits, '-', '_', '.' and '/',"
            " and begin and end with a letter or digit",
        ),
    ),
]
PoolName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_POOL_NAME_LENGTH,
        json_schema_extra=matches(
            DNS_LABEL_PATTERN,
            "must be the name of an AgentPool: lower-case letters, digits and '-',"
            " beginning and ending with a letter or digit",
        ),
    ),
]
LabelValue = Annotated[
    str,
    Field(
        max_length=MAX_LABEL_LENGTH,
        json_schema_extra=matches(
            LABEL_VALUE_PATTERN,
            "must be empty or consist of letters, digits, '-', '_' and '.',"
            " and begin and end with a letter or digit",
        ),
    ),
]
_KEYS = cel(
    f"self.all(key, key.size() <= 317 && key.matches(r'{LABEL_KEY_PATTERN}'))",
    "keys must have the form [prefix/]name: the name of at most 63 letters, digits, '-', '_'"
    " and '.', the prefix a DNS name",
)
Labels = Annotated[dict[str, LabelValue], Field(max_length=64, json_schema_extra=validated(_KEYS))]
Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=65536)]],
    Field(max_length=64, json_schema_extra=validated(_KEYS)),
]
