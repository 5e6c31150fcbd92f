"""From kubeconfig flags to a client configuration and a namespace; a failure is one clear line."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import urllib3
import yaml
from kubernetes import config
from kubernetes.client import Configuration

from agentcorps.cli.errors import InputError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentcorps.cli.options import Connection

DEFAULT_PATH: Final = "~/.kube/config"
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

# What the kubernetes library lets through for a kubeconfig that is not one: TypeError and
# AttributeError for a file of another shape, ValueError for bad base64 or UTF-8.
_BROKEN: Final = (
    config.ConfigException,
    yaml.YAMLError,
    OSError,
    TypeError,
    AttributeError,
    KeyError,
    ValueError,
)


def load(options: Connection) -> tuple[Configuration, str]:
    """Return the client configuration and the namespace that the options and the kubeconfig name.

    Outside a pod a kubeconfig is required; in a pod its service account is used when there is none.

    Raises:
        InputError: There is no kubeconfig, it is broken, it lacks the context, or the login that it
            runs (an exec plugin) failed.
    """
    configuration = Configuration()
    # Only what was certainly not executed is sent again: no connection, 429/503 with Retry-After.
    configuration.retries = urllib3.Retry(
        total=5, connect=2, read=0, redirect=0, other=0, allowed_methods=None, raise_on_status=False
    )
    path = options.kubeconfig or DEFAULT_PATH
    if not any(_existing(path)):
        return configuration, options.namespace or _in_cluster(configuration, options)
    logged = _LogCapture()
    with logged:
        try:
            contexts, active = config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
                config_file=path
            )
            config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=path, context=options.context, client_configuration=configuration
            )
            chosen = _chosen(contexts, active, options.context)
            namespace = options.namespace or chosen.get("namespace") or "default"
        except _BROKEN as error:
            raise InputError(_broken(path, options.context, error)) from error
    if logged.lines:
        raise InputError(
            f"the login that kubeconfig {path} runs failed: {'; '.join(logged.lines)}; log in again"
        )
    return configuration, namespace


def _existing(path: str) -> Iterator[bool]:
    for part in path.split(":"):
        if part:
            yield Path(part).expanduser().is_file()


def _in_cluster(configuration: Configuration, options: Connection) -> str:
    try:
        config.load_incluster_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
    except config.ConfigException as error:
        place = options.kubeconfig or f"{DEFAULT_PATH}"
        raise InputError(
            f"no kubeconfig at {place}: name one with --kubeconfig or KUBECONFIG"
        ) from error
    return _POD_NAMESPACE.read_text().strip() if _POD_NAMESPACE.is_file() else "default"


def _chosen(contexts: Any, active: Any, name: str | None) -> dict[str, Any]:
    entry = active if name is None else next(each for each in contexts if each["name"] == name)
    return dict(entry["context"])


def _broken(path: str, context: str | None, error: Exception) -> str:
    if context is not None and f"name {context}" in str(error):
        return f"kubeconfig {path} has no context {context!r}: see `kubectl config get-contexts`"
    if isinstance(error, config.ConfigException):
        return f"kubeconfig {path} cannot be used: {one_line(str(error))}"
    # The text of other errors may quote the file, and with it credentials.
    return f"kubeconfig {path} cannot be read ({type(error).__name__}): is it a kubeconfig?"


class _LogCapture(logging.Handler):
    """Collects what the kubernetes library logs: it reports a failed exec login in no other way."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(one_line(record.getMessage()))

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
