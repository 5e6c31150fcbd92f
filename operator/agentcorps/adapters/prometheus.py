"""Asks Prometheus servers for one number: implements ``ports.Prometheus``.

API: https://prometheus.io/docs/prometheus/latest/querying/api/ (Instant queries). Who writes a pool
chooses the address, so a server is trusted with nothing: no redirects, no proxy, no cookies, a
bounded answer of which only numbers and Prometheus' own error texts are passed on, and no
connection to this machine or to the link.
"""

from __future__ import annotations

import re
import socket
import ssl
from ipaddress import IPv6Address, ip_address
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from agentcorps.ports import MetricError

if TYPE_CHECKING:
    from collections.abc import Collection
    from ipaddress import IPv4Address

    from aiohttp.connector import AddrInfoType

    from agentcorps.ports import PrometheusServer

MAX_ANSWER_BYTES: Final = 256 * 1024
_MAX_TEXT: Final = 200
_OK, _MULTIPLE_CHOICES, _BAD_REQUEST = 200, 300, 400
_REFUSALS: Final = frozenset({401, 403})
_PAIR: Final = 2
_HTTPS: Final = "https://"


class PrometheusClient:
    """Opens a connection for each query: they are seconds apart, and to servers of all kinds."""

    def __init__(self, servers: Collection[str] = ()) -> None:
        """Prepare.

        Args:
            servers: Origins (scheme, host, port) that may be asked, whatever their IP address;
                without any, all may but those at loopback and link-local addresses.
        """
        self._servers = frozenset(servers)
        self._system_trust: ssl.SSLContext | None = None

    async def query(self, server: PrometheusServer, query: str) -> float:
        """Return the one number that an expression has now.

        The caller bounds the time.

        Raises:
            MetricError: There is not one, or it cannot be had.
        """
        self._require_allowed(server)
        try:
            status, text = await self._ask(server, query)
        except MetricError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise MetricError(f"{server.address}: {_what(error)}") from None
        return _number(server.address, status, text)

    def _require_allowed(self, server: PrometheusServer) -> None:
        if server.token and not server.address.startswith(_HTTPS):
            raise MetricError("a token is sent over https only: change serverAddress")
        if self._servers and _origin(server.address) not in self._servers:
            raise MetricError(
                f"{server.address} is not one of the servers that this installation may ask"
                " (scaling.prometheusServers of its chart)"
            )

    async def _ask(self, server: PrometheusServer, query: str) -> tuple[int, bytes]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if server.token:
            headers["Authorization"] = f"Bearer {server.token}"
        factory = None if self._servers else _distant_socket
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(socket_factory=factory, force_close=True),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "agentcorps-operator"},
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
            ) as session,
            session.get(
                f"{server.address}/api/v1/query",
                params={"query": query},
                headers=headers,
                ssl=self._trust(server) if server.address.startswith(_HTTPS) else True,
                server_hostname=server.server_name or None,
                allow_redirects=False,
            ) as answer,
        ):
            return answer.status, await _bounded(answer)

    def _trust(self, server: PrometheusServer) -> ssl.SSLContext:
        if not server.authority:
            if self._system_trust is None:
                self._system_trust = _context(None)
            return self._system_trust
        try:
            return _context(server.authority)
        except ssl.SSLError:
            raise MetricError("tls.ca holds certificates that cannot be read") from None


def _context(authority: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _distant_socket(address: AddrInfoType) -> socket.socket:
    """Return a socket for an address, unless it is of this machine or its link.

    There are the operator's own ports and the cloud's metadata service. It is judged here and not
    by name, so that no name server can say one thing first and another one later.
    """
    family, kind, protocol, _, place = address
    found: IPv4Address | IPv6Address | None = ip_address(str(place[0]).partition("%")[0])
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found
    if found is None or found.is_loopback or found.is_link_local or found.is_unspecified:
        raise OSError(
            "loopback and link-local addresses are not asked, unless scaling.prometheusServers of"
            " the chart names the server"
        )
    return socket.socket(family, kind, protocol)


def _origin(address: str) -> str:
    """Return scheme, host and port of an address."""
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}".lower()


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    text = b""
    async for chunk in answer.content.iter_any():
        text += chunk
        if len(text) > MAX_ANSWER_BYTES:
            raise MetricError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
    return text


def _what(error: Exception) -> str:
    """Return what went wrong, without the request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        told = getattr(cause, "verify_message", "") or type(cause).__name__
        return f"its certificate is not trusted: {told}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        return f"cannot connect: {_clean(cause.strerror or str(cause))}"
    return f"the connection broke off ({type(error).__name__})"


def _number(address: str, status: int, text: bytes) -> float:
    """Return the number in an answer.

    Raises:
        MetricError: There is not one.
    """
    if status in _REFUSALS:
        raise MetricError(f"{address} refuses the operator's token, or wants one ({status})")
    if _MULTIPLE_CHOICES <= status < _BAD_REQUEST:
        raise MetricError(f"{address} redirects ({status}), which is not followed")
    answer = _decoded(text)
    if answer.get("status") == "error":
        told = f"{answer.get('errorType')}: {answer.get('error')}"
        raise MetricError(f"Prometheus refuses the query: {_clean(told)}")
    data = answer.get("data")
    if status != _OK or not isinstance(data, dict):
        raise MetricError(f"{address} answers as no Prometheus server does ({status})")
    return _value(_sample(data.get("resultType"), data.get("result")))


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _sample(kind: object, result: object) -> object:
    if kind == "scalar":
        return result
    if kind != "vector" or not isinstance(result, list):
        raise MetricError(f"the query has a {_clean(str(kind))} as its result, no vector or scalar")
    if not result:
        raise MetricError("the query has an empty result: no series has a value now")
    if len(result) > 1:
        raise MetricError(
            f"the query has {len(result)} series as its result, not one: aggregate, with sum() say"
        )
    first = result[0]
    return first.get("value") if isinstance(first, dict) else None


def _value(sample: object) -> float:
    """Return the number of a sample: a pair of time and text."""
    told = sample[1] if isinstance(sample, list) and len(sample) == _PAIR else None
    try:
        value = float(str(told))
    except ValueError:
        raise MetricError("the result of the query is no number") from None
    if not isfinite(value):
        raise MetricError(f"the result of the query is {value}")
    return value


def _clean(text: str) -> str:
    """Return foreign words on one line, and not many of them."""
    plain = re.sub(r"[^\x20-\x7e]+", " ", text)
    return plain if len(plain) <= _MAX_TEXT else plain[: _MAX_TEXT - 1] + "…"
