"""Reads one metric: gets the proofs that its server wants, and asks.

A token is one request for one Secret, made when a metric is read. Nothing is listed or kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agentcorps.core.metric_proofs import BadProof, authority, require_server, token
from agentcorps.core.metric_sources import ExternalSource
from agentcorps.core.payloads import Access
from agentcorps.core.records import Key
from agentcorps.ports import ClusterError, Kind, MetricError, NotFound, PrometheusServer, Refused

if TYPE_CHECKING:
    from agentcorps.core.metric_sources import PrometheusSource, Source
    from agentcorps.core.records import InputSource
    from agentcorps.ports import Cluster, ExternalMetrics, Object, Prometheus

_KINDS: Final = {kind.kind: kind for kind in (Kind.SECRET, Kind.CONFIG_MAP)}


class MetricReader:
    """Asks a server of metrics on behalf of a pool."""

    def __init__(
        self, cluster: Cluster, prometheus: Prometheus, external: ExternalMetrics, access: Access
    ) -> None:
        """``access`` bounds which Secrets may be used."""
        self._cluster = cluster
        self._prometheus = prometheus
        self._external = external
        self._access = access

    async def read(self, source: Source, namespace: str) -> float:
        """Return the present value of a metric of a pool in this namespace.

        Raises:
            MetricError: It cannot be had.
        """
        if isinstance(source, ExternalSource):
            return await self._external.total(namespace, source.metric, source.selector)
        return await self._prometheus.query(await self._server(source, namespace), source.query)

    async def _server(self, source: PrometheusSource, namespace: str) -> PrometheusServer:
        proof, trust = source.token, source.authority
        try:
            return PrometheusServer(
                source.address,
                "" if proof is None else token(proof, await self._get(proof, source, namespace)),
                ""
                if trust is None
                else authority(trust, await self._get(trust, source, namespace)),
                source.server_name,
            )
        except BadProof as error:
            raise MetricError(str(error)) from None

    async def _get(self, wanted: InputSource, source: PrometheusSource, namespace: str) -> Object:
        if self._access is Access.OFF:
            raise MetricError(
                "this installation reads no Secrets and ConfigMaps (secrets.enabled of its chart)"
            )
        kind = _KINDS[wanted.kind]
        try:
            stored = await self._cluster.get(kind, Key(namespace, wanted.name))
        except NotFound:
            raise MetricError(f"there is no {wanted.kind} {wanted.name}: create it") from None
        except Refused as error:
            raise MetricError(
                f"the operator may not read {wanted.kind} {wanted.name}: {error.reason}"
            ) from None
        except ClusterError as error:
            raise MetricError(f"{wanted.kind} {wanted.name} cannot be read: {error}") from None
        if kind is Kind.SECRET and self._access is Access.LABELLED:
            require_server(wanted, stored, source.address)
        return stored
