"""Where the gateway's Service leads to."""

import asyncio
from pathlib import Path
from typing import Any

from agentcorps.adapters.connection import ApiConnection
from agentcorps.adapters.endpoint import GatewayEndpoint
from support.api import connected, proxied
from support.raw_api import PATCHES


def path(namespace: str) -> str:
    """Return the EndpointSlice's path."""
    return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/agentcorps-gateway"


async def stored(api: ApiConnection, namespace: str) -> dict[str, Any]:
    """Return the EndpointSlice."""
    found: dict[str, Any] = await api.request("GET", path(namespace))
    return found


async def test_publish_creates_and_moves(kubeconfig: Path, namespace: str) -> None:
    """The one slice is made for the first leader and moved to the next."""
    async with connected(kubeconfig) as api:
        endpoint = GatewayEndpoint(api, namespace=namespace)
        await endpoint.publish("10.1.0.7", 8443)
        first = await stored(api, namespace)
        await endpoint.publish("10.1.0.8", 9443)
        second = await stored(api, namespace)
    labels = first["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == "agentcorps-gateway"
    assert labels["endpointslice.kubernetes.io/managed-by"] == "agentcorps.dev"
    assert first["addressType"] == "IPv4"
    assert first["endpoints"][0]["addresses"] == ["10.1.0.7"]
    assert second["endpoints"][0]["addresses"] == ["10.1.0.8"]
    assert [port["port"] for port in second["ports"]] == [9443]
    assert second["metadata"]["uid"] == first["metadata"]["uid"]


async def test_publish_writes_only_changes(kubeconfig: Path, namespace: str) -> None:
    """Publishing what is published writes nothing."""
    async with proxied(kubeconfig) as (api, proxy):
        endpoint = GatewayEndpoint(api, namespace=namespace)
        await endpoint.publish("10.1.0.7", 8443)
        await endpoint.publish("10.1.0.7", 8443)
        assert (proxy.count("POST"), proxy.count("PUT")) == (1, 0)


async def test_publish_mends_a_foreign_edit(kubeconfig: Path, namespace: str) -> None:
    """An address that somebody else wrote is put right; a label of theirs stays."""
    async with connected(kubeconfig) as api:
        endpoint = GatewayEndpoint(api, namespace=namespace)
        await endpoint.publish("10.1.0.7", 8443)
        patch = [
            {"op": "add", "path": "/metadata/labels/seen-by", "value": "me"},
            {"op": "replace", "path": "/endpoints/0/addresses/0", "value": "10.9.9.9"},
        ]
        await api.request("PATCH", path(namespace), body=patch, content_type=PATCHES["json"])
        await endpoint.publish("10.1.0.7", 8443)
        mended = await stored(api, namespace)
    assert mended["endpoints"][0]["addresses"] == ["10.1.0.7"]
    assert mended["metadata"]["labels"]["seen-by"] == "me"


async def test_publishing_at_once_ends_well(kubeconfig: Path, namespace: str) -> None:
    """Writers that meet get over their conflicts, and one of their addresses stands."""
    addresses = [f"10.1.0.{number}" for number in range(1, 4)]
    async with connected(kubeconfig) as api:
        endpoint = GatewayEndpoint(api, namespace=namespace)
        await asyncio.gather(*(endpoint.publish(address, 8443) for address in addresses))
        found = await stored(api, namespace)
    assert found["endpoints"][0]["addresses"][0] in addresses
