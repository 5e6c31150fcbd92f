"""The parts of the adapters that need no API server: lines, errors, waiting times, the clock."""

import itertools
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.adapters.backoff import Backoff, spread
from agentcorps.adapters.clock import ServerClock
from agentcorps.adapters.connection import split_lines
from agentcorps.adapters.problems import error_of, without_values
from agentcorps.ports import ClusterError, Conflict, NotFound, Refused, Unavailable

SECRET = "do-not-tell"


async def lines_of(*chunks: bytes) -> list[bytes]:
    """Return the lines that chunks of a stream make."""

    async def stream() -> AsyncIterator[bytes]:
        """Yield the chunks."""
        for chunk in chunks:
            yield chunk

    return [line async for line in split_lines(stream())]


@given(
    lines=st.lists(st.binary(min_size=1, max_size=30).filter(lambda line: b"\n" not in line)),
    cuts=st.lists(st.integers(min_value=0, max_value=400)),
)
async def test_lines_do_not_depend_on_chunks(lines: list[bytes], cuts: list[int]) -> None:
    """However a stream is cut into chunks, its lines come out whole and in order."""
    whole = b"".join(line + b"\n" for line in lines)
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    chunks = [whole[start:end] for start, end in itertools.pairwise(places)]
    assert await lines_of(*chunks) == lines


async def test_an_unfinished_line_is_not_a_line() -> None:
    """What a broken connection left unfinished is not handed on."""
    assert await lines_of(b"one\ntw", b"o") == [b"one"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (405, Refused),
        (408, Unavailable),
        (409, Conflict),
        (410, Refused),
        (413, Refused),
        (415, Refused),
        (422, Refused),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
def test_every_status_has_its_error(status: int, kind: type[ClusterError]) -> None:
    """Each HTTP status becomes the error that the use cases know."""
    assert type(error_of("GET /x", status, {}, b"not json")) is kind


@pytest.mark.parametrize("told", ["0", "3"])
def test_retry_after(told: str) -> None:
    """Retry-After is kept in seconds, a minute at most; without a header the Status is asked."""
    by_header = error_of("GET /x", 429, {"Retry-After": told}, b"{}")
    body = orjson.dumps({"details": {"retryAfterSeconds": int(told)}})
    by_body = error_of("GET /x", 503, {}, body)
    endless = error_of("GET /x", 429, {"Retry-After": "86400"}, b"{}")
    strange = error_of("GET /x", 503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b"[]")
    assert isinstance(by_header, Unavailable)
    assert by_header.retry_after == float(told)
    assert isinstance(by_body, Unavailable)
    assert isinstance(endless, Unavailable)
    assert endless.retry_after == 60
    assert isinstance(strange, Unavailable)
    assert strange.retry_after is None


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (f'Invalid value: "{SECRET}": must be short', "Invalid value: must be short"),
        (f'Invalid value: "a\\"{SECRET}: b": must be short', "Invalid value: must be short"),
        (f"Invalid value: {SECRET}: must be a number", "Invalid value: must be a number"),
        (f'Invalid value: {{"k":"{SECRET}: x"}}: no', "Invalid value: no"),
        (f"Invalid value: map[string]any{{{SECRET}:1}}: no", "Invalid value: no"),
        (f'Invalid value: core.Spec{{A:"{SECRET}"}}: no', "Invalid value: no"),
        (f'Unsupported value: "{SECRET}": supported values: "A"', "supported values"),
        (f'Duplicate value: "{SECRET}"', "Duplicate value"),
        ("exceeded quota: q, used: pods=5", "exceeded quota: q, used: pods=5"),
    ],
)
def test_messages_keep_the_rule_and_no_value(message: str, kept: str) -> None:
    """A field error keeps its rule and loses the value that it quotes."""
    told = without_values(message)
    assert kept in told
    assert SECRET not in told


def test_causes_are_named_by_field() -> None:
    """Each cause of a refusal is told with its field."""
    causes = [
        {"field": "spec.a", "message": f'Invalid value: "{SECRET}": too big'},
        {"field": "spec.b", "message": "Required value"},
    ]
    body = orjson.dumps({"reason": "Invalid", "message": SECRET, "details": {"causes": causes}})
    error = error_of("POST /x", 422, {}, body)
    assert isinstance(error, Refused)
    assert (error.status, error.reason) == (422, "Invalid")
    assert error.message == "spec.a: Invalid value: too big; spec.b: Required value"


def test_waiting_times_double_up_to_a_limit() -> None:
    """Waiting times double, stop at the limit, obey the server, and start over after a success."""
    backoff = Backoff(first=1, limit=5, jitter=lambda seconds: seconds)
    assert [backoff.delay() for _ in range(5)] == [1, 2, 4, 5, 5]
    assert backoff.delay(at_least=30) == 30
    backoff.reset()
    assert backoff.delay() == 1


@given(st.floats(min_value=0.001, max_value=1000))
def test_spread_stays_in_its_half(seconds: float) -> None:
    """A spread time is at least half of the time and never more than it."""
    assert seconds / 2 <= spread(seconds) <= seconds


def clock_with(offset: float) -> tuple[ServerClock, Callable[[float, float], None], list[float]]:
    """Return a clock whose server is `offset` ahead, a way to exchange with it, and its time."""
    moment = [1_700_000_000.25]

    def date() -> str:
        return formatdate(int(moment[0] + offset), usegmt=True)

    clock = ServerClock(monotonic=lambda: moment[0], wall=lambda: moment[0])

    def exchange(there: float, back: float) -> None:
        sent = moment[0]
        moment[0] += there
        told = date()
        moment[0] += back
        clock.observe(told, sent)

    return clock, exchange, moment


@given(
    offset=st.floats(min_value=-100_000, max_value=100_000),
    trips=st.lists(
        st.tuples(st.floats(min_value=0, max_value=5), st.floats(min_value=0, max_value=5)),
        min_size=1,
        max_size=20,
    ),
)
def test_the_servers_time_is_told_within_a_trip(
    offset: float, trips: list[tuple[float, float]]
) -> None:
    """After any answers the clock is off by no more than a second and the last trip."""
    clock, exchange, moment = clock_with(offset)
    for there, back in trips:
        exchange(there, back)
    there, back = trips[-1]
    error = clock.now().wall - (moment[0] + offset)
    assert abs(error) <= 1 + there + back + 1e-3


@given(
    trips=st.lists(
        st.tuples(st.floats(min_value=0, max_value=5), st.floats(min_value=0, max_value=5)),
        max_size=20,
    )
)
def test_agreeing_clocks_are_not_corrected(trips: list[tuple[float, float]]) -> None:
    """Where both clocks agree, no rounding and no slow answer shifts the time."""
    clock, exchange, moment = clock_with(0.0)
    for there, back in trips:
        exchange(there, back)
    assert clock.now().wall == moment[0]


@pytest.mark.parametrize("date", [None, "", "yesterday", "Wed, 99 Foo 2026 00:00:00 GMT"])
def test_nonsense_dates_teach_nothing(date: str | None) -> None:
    """A Date header that is absent or unreadable changes nothing."""
    clock, _, moment = clock_with(0.0)
    clock.observe(date, moment[0])
    assert clock.now().wall == moment[0]
