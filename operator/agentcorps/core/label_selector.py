"""Label selectors, with the meaning that Kubernetes gives them.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agentcorps.api.selector import SelectorOperator
from agentcorps.core.fields import Malformed, entries, section, text, words

if TYPE_CHECKING:
    from collections.abc import Mapping


class Requirement(NamedTuple):
    """One condition on one label."""

    key: str
    operator: SelectorOperator
    values: tuple[str, ...] = ()
    """In order, so that equal requirements are equal."""


Selector = tuple[Requirement, ...]
"""Requirements that must all hold, in order; an empty one matches everything."""


def parse_selector(written: Mapping[str, Any], path: str) -> Selector:
    """Read a selector as it is written.

    Args:
        written: An object with ``matchLabels`` and ``matchExpressions``, either or none of them.
        path: Where it stands, for errors.

    Raises:
        Malformed: It cannot be read.
    """
    labels = section(written, "matchLabels", f"{path}.matchLabels")
    found = {
        Requirement(key, SelectorOperator.IN, (_label_value(value, f"{path}.matchLabels"),))
        for key, value in labels.items()
    }
    place = f"{path}.matchExpressions"
    found |= {_expression(one, place) for one in entries(written, "matchExpressions", place)}
    return tuple(sorted(found))


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels meet every requirement."""
    return all(_holds(requirement, labels) for requirement in selector)


def selector_text(selector: Selector) -> str:
    """The selector as ``kubectl get --selector`` takes it; empty for one that matches all."""
    return ",".join(map(_requirement_text, selector))


def _label_value(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    raise Malformed(path, "must have strings as values")


def _expression(written: Mapping[str, Any], path: str) -> Requirement:
    try:
        operator = SelectorOperator(text(written, "operator", f"{path}.operator"))
    except ValueError as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"{path}.operator", "is not one of a label selector") from None
    values = tuple(sorted(words(written, "values", f"{path}.values")))
    return Requirement(text(written, "key", f"{path}.key"), operator, values)


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case SelectorOperator.IN:
            return value in requirement.values
        case SelectorOperator.NOT_IN:
            return value not in requirement.values
        case SelectorOperator.EXISTS:
            return value is not None
        case SelectorOperator.DOES_NOT_EXIST:
            return value is None


def _requirement_text(requirement: Requirement) -> str:
    key, operator, values = requirement
    match operator:
        case SelectorOperator.IN if len(values) == 1:
            return f"{key}={values[0]}"
        case SelectorOperator.IN:
            return f"{key} in ({','.join(values)})"
        case SelectorOperator.NOT_IN:
            return f"{key} notin ({','.join(values)})"
        case SelectorOperator.EXISTS:
            return key
        case SelectorOperator.DOES_NOT_EXIST:
            return f"!{key}"
