"""A digest that survives the way through the API server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from agentcorps.core.digest import canonical_digest, canonical_json
from support.strategies import json_values


@pytest.mark.parametrize(
    ("given_value", "stored"),
    [
        (1.0, 1),
        (-0.0, 0),
        (2**63, float(2**63)),
        (2**63 - 1, 2**63 - 1),
        (1.2345678901234568e18, 1_234_567_890_123_456_800),
        (1e300, 1e300),
        ({"b": 2.0, "a": [True, None]}, {"a": [True, None], "b": 2}),
        ("\ud800", "\ufffd"),
    ],
)
def test_a_digest_is_of_what_is_stored(given_value: object, stored: object) -> None:
    """A value and what the API server makes of it have one digest."""
    assert canonical_digest(given_value) == canonical_digest(stored)


@pytest.mark.parametrize(("one", "other"), [(1, "1"), (1, True), (1.5, 1), ([], {}), (None, 0)])
def test_different_values_have_different_digests(one: object, other: object) -> None:
    """Values that differ after storing have different digests."""
    assert canonical_digest(one) != canonical_digest(other)


@settings(max_examples=200)
@given(json_values)
def test_the_canonical_form_is_stable(value: object) -> None:
    """Reading the canonical form and writing it again changes nothing."""
    form = canonical_json(value)
    assert canonical_json(json.loads(form)) == form


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_a_number_that_json_lacks_has_no_digest(value: object) -> None:
    """NaN, infinity and integers beyond a double are refused."""
    with pytest.raises(ValueError, match=r"JSON|range"):
        canonical_digest(value)
