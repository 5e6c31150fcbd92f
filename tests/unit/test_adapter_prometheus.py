"""What a Prometheus server, or anything in its place, may answer, and what becomes of it."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from math import isfinite
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentcorps.adapters.external_metrics import _total
from agentcorps.adapters.prometheus import PrometheusClient, _distant_socket, _number, _origin
from agentcorps.ports import MetricError, PrometheusServer

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType

ADDRESS = "https://prom:9090"


def body(kind: str, result: Any) -> bytes:
    """Return an answer of Prometheus."""
    return json.dumps(
        {"status": "success", "data": {"resultType": kind, "result": result}}
    ).encode()


def vector(*values: str) -> bytes:
    """Return an answer with one series for each value."""
    return body("vector", [{"metric": {}, "value": [1.5, value]} for value in values])


@pytest.mark.parametrize(
    ("text", "expected"),
    [(vector("42"), 42.0), (vector("-0.5"), -0.5), (body("scalar", [1.5, "7e3"]), 7000.0)],
)
def test_one_number_is_read(text: bytes, expected: float) -> None:
    """A vector of one series and a scalar have a value."""
    assert _number(ADDRESS, 200, text) == expected


REFUSED = json.dumps({"status": "error", "errorType": "bad_data", "error": "1:4: parse\nerror"})


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (200, vector(), "empty result: no series has a value now"),
        (200, vector("1", "2"), "2 series as its result, not one: aggregate"),
        (200, vector("NaN"), "the result of the query is nan"),
        (200, vector("+Inf"), "the result of the query is inf"),
        (200, vector("many"), "no number"),
        (200, body("matrix", []), "a matrix as its result"),
        (200, body("string", [1, "x"]), "a string as its result"),
        (200, body("vector", [7]), "no number"),
        (200, b"<html>", "answers as no Prometheus server does (200)"),
        (200, b"[]", "answers as no Prometheus server does (200)"),
        (404, b"secret page", "answers as no Prometheus server does (404)"),
        (503, b"", "answers as no Prometheus server does (503)"),
        (400, REFUSED.encode(), "Prometheus refuses the query: bad_data: 1:4: parse error"),
        (302, b"", "redirects (302), which is not followed"),
        (401, b"", "refuses the operator's token, or wants one (401)"),
        (403, b"", "refuses the operator's token, or wants one (403)"),
    ],
)
def test_whatever_is_no_number_is_told(status: int, text: bytes, words: str) -> None:
    """Each other answer is an error in words, which never repeat the body of a foreign page."""
    with pytest.raises(MetricError) as caught:
        _number(ADDRESS, status, text)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    kind=st.sampled_from(["vector", "scalar", "matrix"]) | st.text(max_size=5),
    result=json_values,
    status=st.sampled_from([200, 400, 404, 500]),
)
def test_no_answer_breaks_the_reader(kind: str, result: Any, status: int) -> None:
    """Any JSON is either a finite number or a MetricError."""
    with suppress(MetricError):
        assert isfinite(_number(ADDRESS, status, body(kind, result)))


@given(text=st.binary(max_size=50))
def test_no_bytes_break_the_reader(text: bytes) -> None:
    """Any bytes are either a finite number or a MetricError."""
    with pytest.raises(MetricError):
        _number(ADDRESS, 200, text)


@pytest.mark.parametrize(
    "place",
    ["127.0.0.1", "127.8.8.8", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1"],  # noqa: S104 - an address that must be refused
)
def test_this_machine_and_its_link_are_not_asked(place: str) -> None:
    """No socket is made for loopback, link-local (cloud metadata) and unspecified addresses."""
    with pytest.raises(OSError, match="loopback and link-local addresses are not asked"):
        _distant_socket(info(place))


@pytest.mark.parametrize("place", ["10.96.0.7", "203.0.113.9", "2001:db8::9"])
def test_other_addresses_are(place: str) -> None:
    """Services of a cluster and servers elsewhere may be asked."""
    with _distant_socket(info(place)) as made:
        assert made.type is socket.SOCK_STREAM


def info(place: str) -> AddrInfoType:
    """Return an address as a resolver does."""
    if ":" in place:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (place, 9090, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, 9090)


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://Prom:9090/path", "https://prom:9090"),
        ("http://[::1]:9090", "http://[::1]:9090"),
        ("https://prom", "https://prom"),
    ],
)
def test_servers_are_known_by_their_origin(address: str, origin: str) -> None:
    """Scheme, host and port tell servers apart; paths do not."""
    assert _origin(address) == origin


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (PrometheusServer("https://other"), "is not one of the servers"),
        (PrometheusServer("https://prom.evil"), "is not one of the servers"),
        (PrometheusServer("http://prom", token="t"), "over https only"),
    ],
)
async def test_who_must_not_be_asked_is_not_asked(server: PrometheusServer, words: str) -> None:
    """Servers that the installation does not name, and tokens over http, end before any request."""
    with pytest.raises(MetricError, match=words):
        await PrometheusClient(["https://prom", "http://prom"]).query(server, "up")


@pytest.mark.parametrize(
    ("items", "expected"),
    [([{"value": "1500m"}], 1.5), ([{"value": "2k"}, {"value": "1"}], 2001.0)],
)
def test_series_of_an_external_metric_are_summed(items: Any, expected: float) -> None:
    """Quantities of all series add up, as for the HorizontalPodAutoscaler."""
    assert _total("depth", {"items": items}) == expected


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"items": []}, "no series that the selector matches"),
        ({"items": [{"value": "many"}]}, "no quantity"),
        ({"items": [{}]}, "no quantity"),
        ({"items": ["x"]}, "no quantity"),
        ({}, "no ExternalMetricValueList"),
        ([], "no ExternalMetricValueList"),
        (None, "no ExternalMetricValueList"),
    ],
)
def test_an_external_metric_without_a_value_is_told(answer: Any, words: str) -> None:
    """What is no list of values is an error in words."""
    with pytest.raises(MetricError, match=words):
        _total("depth", answer)
