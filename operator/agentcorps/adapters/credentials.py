"""Where the API server is and as whom to talk to it: from a kubeconfig, or from the pod itself."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class CredentialsError(Exception):
    """There are no usable credentials; the message says which file or variable is at fault."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one request needs to reach the API server."""

    base_url: str
    authorization: str | None
    """Value of the Authorization header, if the server wants one."""
    tls: ssl.SSLContext
    server_hostname: str | None = None
    """Name that the server's certificate must bear, where it is not the URL's."""
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """The same access for a client that builds its own TLS context, as kopf does."""

    server: str
    token: str | None
    ca_path: str | None
    certificate_path: str | None
    private_key_path: str | None
    insecure: bool
    proxy_url: str | None


class AccessSource(Protocol):
    """Gives access, and renews it when the API server no longer takes it."""

    def access(self) -> Access:
        """The access to use for the next request."""

    async def refresh(self, refused: Access) -> bool:
        """Load anew after a 401; False when nothing newer than the refused access is to be had."""


class Credentials:
    """Implements ``AccessSource`` with the kubernetes client's loaders (exec plugins, OIDC ...)."""

    def __init__(
        self, configuration: Configuration, load: Callable[[], Awaitable[Configuration]]
    ) -> None:
        self._load = load
        self._lock = asyncio.Lock()
        self._use(configuration)

    @classmethod
    async def load(cls, kubeconfig: str | None, context: str | None = None) -> Credentials:
        """Load credentials.

        Args:
            kubeconfig: Path of a kubeconfig; several are joined with ``:``. None: the pod's own.
            context: Context of the kubeconfig; None: its current one.

        Raises:
            CredentialsError: They are missing or broken.
        """

        async def load() -> Configuration:
            return await _load(kubeconfig, context)

        return cls(await load(), load)

    def access(self) -> Access:
        """The access to use for the next request; a pod's token is read anew once a minute."""
        hook: Any = self._configuration.refresh_api_key_hook
        if hook is not None:
            hook(self._configuration)
        token = self._configuration.api_key.get("BearerToken")
        return Access(
            base_url=self._configuration.host.rstrip("/"),
            authorization=token.strip() if token else None,
            tls=self._tls,
            server_hostname=self._configuration.tls_server_name,
            proxy=self._configuration.proxy,
        )

    def login(self) -> Login:
        """The present access, as files and a bare token."""
        # The library writes the scheme as `Bearer` or, within a cluster, as `bearer`.
        _, _, token = (self.access().authorization or "").partition(" ")
        configuration = self._configuration
        return Login(
            server=configuration.host.rstrip("/"),
            token=token.strip() or None,
            ca_path=configuration.ssl_ca_cert,
            certificate_path=configuration.cert_file,
            private_key_path=configuration.key_file,
            insecure=not configuration.verify_ssl,
            proxy_url=configuration.proxy,
        )

    async def refresh(self, refused: Access) -> bool:
        """Load anew after a 401, for instance because an exec plugin's token has expired."""
        async with self._lock:
            if self.access() == refused:
                loaded = await self._load()
                if _identity(loaded) != _identity(self._configuration):
                    self._use(loaded)
            return self.access() != refused

    def _use(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._tls = _tls(configuration)


async def _load(kubeconfig: str | None, context: str | None) -> Configuration:
    configuration = Configuration()
    where = "the pod's service account" if kubeconfig is None else f"kubeconfig {kubeconfig}"
    if kubeconfig is not None and not _any_file(kubeconfig):
        raise CredentialsError(f"{where}: no such file")
    try:
        if kubeconfig is None:
            load_incluster_config(configuration)  # type: ignore[no-untyped-call] # the library has no types here
        else:
            await load_kube_config(  # type: ignore[no-untyped-call] # the library has no types here
                kubeconfig, context, configuration, persist_config=False
            )
    except Exception as error:
        # The loaders raise whatever their parsing runs into: YAML errors, KeyError, TypeError ...
        raise CredentialsError(f"{where}: {' '.join(str(error).split())}") from error
    return configuration


def _any_file(kubeconfig: str) -> bool:
    return any(Path(part).is_file() for part in kubeconfig.split(":") if part)


def _identity(configuration: Configuration) -> tuple[object, ...]:
    """What tells two configurations apart; the loader names files by their content."""
    files = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return configuration.host, configuration.api_key.get("BearerToken"), files


def _tls(configuration: Configuration) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise CredentialsError(f"certificates for {configuration.host}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
