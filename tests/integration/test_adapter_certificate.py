"""The gateway's certificate in a real Secret."""

import asyncio
import base64
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agentcorps.adapters.certificate import CertificateStore
from agentcorps.adapters.connection import ApiConnection
from support.api import HandClock, answered, connected, running
from support.raw_api import PATCHES

TEN_MONTHS = 300 * 86_400


def store(api: ApiConnection, namespace: str, clock: HandClock) -> CertificateStore:
    """Return the store of one replica."""
    return CertificateStore(api, namespace=namespace, clock=clock, sleep=clock.sleep)


@asynccontextmanager
async def served(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Serve TLS on a free port."""

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Shake hands and hang up."""
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def presented(port: int, ca_pem: str, name: str) -> bytes:
    """Return the certificate that a client which trusts only `ca_pem` is shown for a name."""
    context = ssl.create_default_context(cadata=ca_pem)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return shown


async def secret(api: ApiConnection, namespace: str) -> dict[str, Any]:
    """Return the Secret."""
    path = f"/api/v1/namespaces/{namespace}/secrets/agentcorps-gateway-tls"
    stored: dict[str, Any] = await api.request("GET", path)
    return stored


async def test_replicas_agree(kubeconfig: Path, namespace: str) -> None:
    """Replicas that start at once serve the same certificate, and it is what the Secret holds."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        made = await asyncio.gather(*(store(api, namespace, clock).ensure() for _ in range(4)))
        kind = (await secret(api, namespace))["type"]
    assert {one.chain_pem for one in made} == {made[0].chain_pem}
    assert {one.ca_pem for one in made} == {made[0].ca_pem}
    assert kind == "kubernetes.io/tls"


async def test_clients_accept_the_services_names(kubeconfig: Path, namespace: str) -> None:
    """A client that trusts the CA alone accepts the Service's names and localhost."""
    async with connected(kubeconfig) as api:
        certificate = await store(api, namespace, HandClock()).ensure()
        async with served(certificate.ssl_context()) as port:
            services = [f"agentcorps-{name}.{namespace}.svc" for name in ("gateway", "metrics")]
            domains = [f"{service}.cluster.local" for service in services]
            for name in (*services, *domains, "localhost", "127.0.0.1"):
                assert await presented(port, certificate.ca_pem, name)


async def test_renewal_keeps_the_trust(kubeconfig: Path, namespace: str) -> None:
    """A certificate near its end is renewed once, under the CA that agents have already."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = await store(api, namespace, clock).ensure()
        assert (await store(api, namespace, clock).ensure()).chain_pem == first.chain_pem
        clock.turn(TEN_MONTHS)
        second = await store(api, namespace, clock).ensure()
        third = await store(api, namespace, clock).ensure()
    assert second.chain_pem != first.chain_pem
    assert second.ca_pem == first.ca_pem
    assert second.not_after > first.not_after
    assert third.chain_pem == second.chain_pem


async def test_a_deleted_secret_is_put_back_as_it_was(kubeconfig: Path, namespace: str) -> None:
    """Whoever deletes the Secret does not cut off the agents that trust its authority."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        keeper = store(api, namespace, clock)
        first = await keeper.ensure()
        path = f"/api/v1/namespaces/{namespace}/secrets/agentcorps-gateway-tls"
        await api.request("DELETE", path)
        second = await keeper.ensure()
        stored = await secret(api, namespace)
    assert second == first
    assert base64.b64decode(stored["data"]["ca.crt"]).decode() == first.ca_pem


async def test_a_live_server_gets_the_renewed_one(kubeconfig: Path, namespace: str) -> None:
    """New connections to a running server are shown the renewed certificate."""
    clock = HandClock(wall=time.time() - TEN_MONTHS)
    async with connected(kubeconfig) as api:
        keeper = store(api, namespace, clock)
        first = await keeper.ensure()
        context = first.ssl_context()
        task = asyncio.create_task(keeper.keep(context))
        async with running(task), served(context) as port:
            await clock.asleep(1)
            before = await presented(port, first.ca_pem, "localhost")
            clock.turn(TEN_MONTHS)

            async def another() -> bool:
                """Tell whether the server presents something new."""
                return await presented(port, first.ca_pem, "localhost") != before

            assert await answered(another, "renewed certificate")


async def test_a_broken_secret_is_mended(kubeconfig: Path, namespace: str) -> None:
    """A Secret whose key was destroyed is made anew instead of keeping the gateway down."""
    clock = HandClock()
    async with connected(kubeconfig) as api:
        first = await store(api, namespace, clock).ensure()
        path = f"/api/v1/namespaces/{namespace}/secrets/agentcorps-gateway-tls"
        patch = [{"op": "replace", "path": "/data/ca.key", "value": "bm90IGEga2V5"}]
        await api.request("PATCH", path, body=patch, content_type=PATCHES["json"])
        second = await store(api, namespace, clock).ensure()
        assert (await store(api, namespace, clock).ensure()).ca_pem == second.ca_pem
    assert second.ca_pem != first.ca_pem
