"""Keeps the gateway's certificate in a Secret: made once, shared by all replicas, renewed."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import TYPE_CHECKING

import structlog

from agentcorps.adapters.pki import BrokenCertificateError, ServingCertificate, issue, renewed
from agentcorps.ports import ClusterError, Conflict, NotFound, Unavailable

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.ports import Clock, Object

_ATTEMPTS = 5
_KEYS = ("ca.crt", "ca.key", "tls.crt", "tls.key")
_LOG = structlog.get_logger()


class CertificateStore:
    """Reads, makes and renews the Secret; replicas that do so at once agree on the first written.

    The Secret holds the CA's key too, so that serving certificates can be renewed without new
    trust: agents get the CA when their pod starts and keep it.
    """

    def __init__(
        self,
        api: ApiConnection,
        *,
        namespace: str,
        clock: Clock,
        name: str = "agentcorps-gateway-tls",
        services: tuple[str, ...] = ("agentcorps-gateway", "agentcorps-metrics"),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare.

        Args:
            api: Connection to the API server.
            namespace: Namespace of the Secret and of the gateway's Service.
            clock: Its wall time says when a certificate is due.
            name: Name of the Secret.
            services: Names of the Services that the certificate is for.
            sleep: Waits for seconds.
        """
        self._api = api
        self._collection = f"/api/v1/namespaces/{namespace}/secrets"
        self._metadata = {"name": name, "namespace": namespace}
        self._names = (
            *(
                f"{service}.{namespace}.svc{domain}"
                for service in services
                for domain in ("", ".cluster.local")
            ),
            "localhost",
            "127.0.0.1",
        )
        self._clock = clock
        self._sleep = sleep
        self._held: ServingCertificate | None = None

    async def ensure(self) -> ServingCertificate:
        """The certificate to serve with, made or renewed if necessary.

        Raises:
            ClusterError: The Secret could not be read or written.
        """
        for _ in range(_ATTEMPTS):
            try:
                self._held = await self._ensure()
            except (Conflict, NotFound):
                # Another replica was faster: what it wrote is the certificate.
                continue
            else:
                return self._held
        raise Unavailable(f"Secret {self._metadata['name']} changes all the time")

    async def keep(self, context: ssl.SSLContext, every: float = 3600.0) -> None:
        """Load what was renewed, by whomever, into a live context; until cancelled."""
        served = ""
        while True:
            try:
                certificate = await self.ensure()
            except ClusterError as error:
                _LOG.warning("certificate.unchecked", error=str(error))
            else:
                if certificate.chain_pem != served:
                    certificate.load_into(context)
                    served = certificate.chain_pem
                    _LOG.info("certificate.loaded", not_after=certificate.not_after)
            await self._sleep(every)

    async def _ensure(self) -> ServingCertificate:
        path = f"{self._collection}/{self._metadata['name']}"
        now = self._clock.now().wall
        try:
            secret = await self._api.request("GET", path)
        except NotFound:
            # Put back what somebody deleted: agents trust the authority that they were given.
            made = self._held or issue(self._names, now)
            await self._api.request("POST", self._collection, body=self._secret(made))
            _LOG.info("certificate.made", not_after=made.not_after)
            return made
        try:
            stored = _stored(secret)
            due = renewed(stored, self._names, now)
        except BrokenCertificateError as error:
            _LOG.warning("certificate.broken", error=str(error), remedy="made anew")
            due = stored = self._held or issue(self._names, now)
        if due is None:
            return stored
        body = secret | {"data": (secret.get("data") or {}) | _data(due)}
        await self._api.request("PUT", path, body=body)
        _LOG.info("certificate.renewed", not_after=due.not_after)
        return due

    def _secret(self, certificate: ServingCertificate) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": self._metadata | {"labels": {"app.kubernetes.io/managed-by": "agentcorps"}},
            "data": _data(certificate),
        }


def _data(certificate: ServingCertificate) -> dict[str, str]:
    parts = (
        certificate.ca_pem,
        certificate.ca_key_pem,
        certificate.chain_pem,
        certificate.key_pem,
    )
    return {
        key: base64.b64encode(part.encode()).decode()
        for key, part in zip(_KEYS, parts, strict=True)
    }


def _stored(secret: Object) -> ServingCertificate:
    data = secret.get("data") or {}
    try:
        parts = [base64.b64decode(data[key]).decode() for key in _KEYS]
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise BrokenCertificateError(f"Secret lacks {', '.join(_KEYS)}") from error
    return ServingCertificate(*parts)
