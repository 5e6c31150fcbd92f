"""The gateway's EndpointSlice: where the leader is."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

import structlog

from agentcorps.ports import Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.ports import Object

_ATTEMPTS = 5
_LOG = structlog.get_logger()


class GatewayEndpoint:
    """Points the gateway's Service, which has no selector, at one address: the leader's."""

    def __init__(
        self,
        api: ApiConnection,
        *,
        namespace: str,
        name: str = "agentcorps-gateway",
        port_name: str = "https",
    ) -> None:
        """Prepare.

        Args:
            api: Connection to the API server.
            namespace: Namespace of the Service.
            name: Name of the Service and of its one EndpointSlice.
            port_name: Name of the Service's port; kube-proxy matches by it.
        """
        self._api = api
        self._collection = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._namespace = namespace
        self._name = name
        self._port_name = port_name

    async def publish(self, ip: str, port: int) -> None:
        """Make the Service lead to an address; does nothing when it already does.

        Raises:
            ClusterError: It could not be written.
        """
        wanted = self._slice(ip, port)
        for _ in range(_ATTEMPTS):
            try:
                if await self._write(wanted):
                    _LOG.info("endpoint.published", service=self._name, ip=ip, port=port)
            except (Conflict, NotFound):
                continue
            return
        raise Unavailable(f"EndpointSlice {self._namespace}/{self._name} changes all the time")

    async def _write(self, wanted: Object) -> bool:
        """Write once; whether there was anything to write."""
        path = f"{self._collection}/{self._name}"
        try:
            stored = await self._api.request("GET", path)
        except NotFound:
            await self._api.request("POST", self._collection, body=wanted)
            return True
        if _matches(stored, wanted):
            return False
        metadata = stored["metadata"] | {
            "labels": (stored["metadata"].get("labels") or {}) | wanted["metadata"]["labels"]
        }
        await self._api.request("PUT", path, body=wanted | {"metadata": metadata})
        return True

    def _slice(self, ip: str, port: int) -> Object:
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": self._name,
                "namespace": self._namespace,
                "labels": {
                    "kubernetes.io/service-name": self._name,
                    "endpointslice.kubernetes.io/managed-by": "agentcorps.dev",
                    "app.kubernetes.io/managed-by": "agentcorps",
                },
            },
            "addressType": f"IPv{ip_address(ip).version}",
            "endpoints": [{"addresses": [ip], "conditions": {"ready": True}}],
            "ports": [{"name": self._port_name, "port": port, "protocol": "TCP"}],
        }


def _matches(stored: Object, wanted: Object) -> bool:
    labels = stored["metadata"].get("labels") or {}
    return (
        labels.items() >= wanted["metadata"]["labels"].items()
        and [end.get("addresses") for end in stored.get("endpoints") or ()]
        == [end["addresses"] for end in wanted["endpoints"]]
        and all((end.get("conditions") or {}).get("ready") for end in stored["endpoints"])
        and stored.get("ports") == wanted["ports"]
    )
