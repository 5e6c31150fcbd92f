"""Names and limits."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.api import names

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(pool=st.from_regex(names.DNS_LABEL_PATTERN, fullmatch=True), number=st.integers(0, 10**5))
def test_agent_name_and_number_are_inverse(pool: str, number: int) -> None:
    """The number that an agent's name was made from is read back, for its own pool only."""
    name = names.agent_name(pool, number)
    assert names.agent_number(pool, name) == number
    assert names.agent_number(f"{pool}-x", name) is None


@pytest.mark.parametrize("name", ["readers", "readers-", "readers-01", "readers-x", "readers-1-2"])
def test_only_names_of_the_form_have_a_number(name: str) -> None:
    """A name that no agent of the pool can bear has no number."""
    assert names.agent_number("readers", name) is None


def test_longest_pool_name_leaves_room_for_every_number() -> None:
    """Agents of a pool with the longest name still have names that fit a label."""
    pool = "p" * names.MAX_POOL_NAME_LENGTH
    assert names.is_pool_name(pool)
    assert names.is_dns_label(names.agent_name(pool, 99_999))
    assert not names.is_pool_name(pool + "p")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.is_dns_label, "a-1", "a.b"),
        (names.is_dns_subdomain, "a.b-c", "a..b"),
        (names.is_capability, "lang/de_CH.v2", "sum\tmarize"),
        (names.is_pool_name, "readers", "Readers"),
    ],
)
def test_checks_tell_good_from_bad(check: Callable[[str], bool], good: str, bad: str) -> None:
    """Each check accepts a name of its form and refuses one that is not, newlines included."""
    assert check(good)
    assert not check(bad)
    assert not check(f"{good}\n")
    assert not check("")


@given(st.text(max_size=3000))
def test_clipped_messages_fit_and_keep_their_beginning(message: str) -> None:
    """A clipped message fits the status field, and short ones are left alone."""
    clipped = names.clip_message(message)
    assert len(clipped) <= names.MAX_MESSAGE_LENGTH
    assert clipped == message or message.startswith(clipped.removesuffix("…"))


@given(JSON)
def test_encoded_size_is_that_of_compact_json(value: object) -> None:
    """The measure of payload limits is the size of compact JSON in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert names.encoded_size(value) == len(text.encode(errors="surrogatepass"))


def test_encoded_size_refuses_what_is_not_json() -> None:
    """NaN has no size, because JSON has no NaN."""
    with pytest.raises(ValueError, match="JSON"):
        names.encoded_size({"x": float("nan")})
