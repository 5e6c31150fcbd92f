"""Which labels a selector matches."""

from __future__ import annotations

import pytest

from agentcorps.core.fields import Malformed
from agentcorps.core.label_selector import matches, parse_selector, selector_text


def expression(operator: str, *values: str) -> dict[str, object]:
    """Return a selector of one expression about the label `size`."""
    return {"matchExpressions": [{"key": "size", "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("written", "text", "none", "small", "big"),
    [
        ({}, "", True, True, True),
        ({"matchLabels": {"size": "big"}}, "size=big", False, False, True),
        (expression("In", "big", "a"), "size in (a,big)", False, False, True),
        (expression("NotIn", "big"), "size notin (big)", True, True, False),
        (expression("Exists"), "size", False, True, True),
        (expression("DoesNotExist"), "!size", True, False, False),
    ],
    ids=["empty", "label", "in", "not in", "exists", "does not exist"],
)
def test_operators_mean_what_they_mean_in_kubernetes(
    written: dict[str, object], text: str, *, none: bool, small: bool, big: bool
) -> None:
    """Each operator judges an absent, another and a wanted value, and reads as kubectl takes it."""
    selector = parse_selector(written, "spec.agentSelector")
    labels: list[dict[str, str]] = [{}, {"size": "small"}, {"size": "big"}]
    assert [matches(selector, each) for each in labels] == [none, small, big]
    assert selector_text(selector) == text


def test_all_requirements_must_hold() -> None:
    """Labels and expressions are joined by and; their order does not matter."""
    one = parse_selector({"matchLabels": {"a": "1", "b": "2"}} | expression("Exists"), "s")
    other = parse_selector(expression("Exists") | {"matchLabels": {"b": "2", "a": "1"}}, "s")
    assert one == other
    assert matches(one, {"a": "1", "b": "2", "size": "big"})
    assert not matches(one, {"a": "1", "size": "big"})


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"matchLabels": {"a": 1}}, "s.matchLabels"),
        ({"matchLabels": []}, "s.matchLabels"),
        (expression("Like", "x"), "s.matchExpressions.operator"),
        ({"matchExpressions": [{"operator": "Exists"}]}, "s.matchExpressions.key"),
        ({"matchExpressions": [{"key": "a"}]}, "s.matchExpressions.operator"),
    ],
)
def test_what_cannot_be_read_is_told_without_its_value(
    written: dict[str, object], path: str
) -> None:
    """The field that is wrong is named, not what stood there."""
    with pytest.raises(Malformed) as caught:
        parse_selector(written, "s")
    assert caught.value.path == path
