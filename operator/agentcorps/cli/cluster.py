"""The API server as the commands see it: the only module that talks to it, and maps its errors."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import urllib3
from kubernetes.client import ApiClient, ApiException

from agentcorps import __version__
from agentcorps.api.kinds import AGENT_POOL, Kind
from agentcorps.api.meta import GROUP, VERSION
from agentcorps.api.names import is_dns_label, is_dns_subdomain
from agentcorps.cli import kubeconfig
from agentcorps.cli.answers import error_from_answer, error_from_connection
from agentcorps.cli.errors import ApiError, CliError, InputError, NotFoundError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentcorps.cli.model import Object
    from agentcorps.cli.options import Connection

PAGE: Final = 500
CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 60.0
FIELD_MANAGER: Final = "agentcorps-cli"


@contextmanager
def open_cluster(options: Connection) -> Iterator[Cluster]:
    """Open the cluster that the options name; close its connections at the end.

    Raises:
        InputError: No usable kubeconfig, or a namespace that cannot be one.
    """
    configuration, namespace = kubeconfig.load(options)
    if not is_dns_label(namespace):
        raise InputError(f"{namespace!r} cannot be the name of a namespace")
    # Its warnings about retried connections would stand between the lines of the command.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    with ApiClient(configuration) as client:
        client.user_agent = f"agentcorps/{__version__}"
        yield Cluster(client, namespace, options)


class Cluster:
    """Requests to the API server. Every call is bounded in time and raises only CliError."""

    def __init__(self, client: ApiClient, namespace: str, options: Connection) -> None:
        self.namespace = namespace
        """The namespace that the command works in."""
        self._client = client
        self._headers: dict[str, Any] = {}
        if options.as_user:
            self._headers["Impersonate-User"] = options.as_user

    @property
    def host(self) -> str:
        """URL of the API server."""
        return str(self._client.configuration.host)

    def get(self, kind: Kind, name: str) -> Object:
        """Read one object of the namespace.

        Raises:
            NotFoundError: It does not exist; says in which other namespace it does.
        """
        check_name(kind, name)
        try:
            return self._json("GET", self._path(kind, self.namespace, name))
        except NotFoundError as error:
            raise self._absent(kind, name) from error

    def pages(self, kind: Kind, namespace: str | None, **query: Any) -> Iterator[Object]:
        """Read a list page by page; None is all namespaces. The query takes selectors."""
        token = None
        while True:
            page = self._json(
                "GET", self._path(kind, namespace), **query, limit=PAGE, **{"continue": token}
            )
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return

    def list_all(self, kind: Kind, namespace: str | None, **query: Any) -> list[Object]:
        """Read a whole list, `kind` and `apiVersion` filled in; None is all namespaces."""
        return [
            {"apiVersion": kind.api_version, "kind": kind.kind, **item}
            for page in self.pages(kind, namespace, **query)
            for item in page["items"]
        ]

    def create(self, kind: Kind, body: Object, *, dry_run: bool = False) -> Object:
        """Create an object in the namespace; unknown fields are refused.

        Raises:
            AlreadyExistsError: The name is taken.
        """
        try:
            return self._json(
                "POST",
                self._path(kind, self.namespace),
                body,
                fieldManager=FIELD_MANAGER,
                fieldValidation="Strict",
                dryRun="All" if dry_run else None,
            )
        except NotFoundError as error:
            raise self._no_namespace() from error

    def scale(self, name: str, replicas: int, *, dry_run: bool = False) -> Object:
        """Set the replicas of an AgentPool through its scale subresource; returns the Scale."""
        check_name(AGENT_POOL, name)
        try:
            return self._json(
                "PATCH",
                f"{self._path(AGENT_POOL, self.namespace, name)}/scale",
                {"spec": {"replicas": replicas}},
                fieldManager=FIELD_MANAGER,
                fieldValidation="Strict",
                dryRun="All" if dry_run else None,
            )
        except NotFoundError as error:
            raise self._absent(AGENT_POOL, name) from error

    def patch(self, kind: Kind, name: str, change: Object) -> Object:
        """Merge a change into an object of the namespace; returns what is stored.

        Raises:
            NotFoundError: It does not exist.
        """
        check_name(kind, name)
        try:
            return self._json(
                "PATCH",
                self._path(kind, self.namespace, name),
                change,
                fieldManager=FIELD_MANAGER,
                fieldValidation="Strict",
            )
        except NotFoundError as error:
            raise self._absent(kind, name) from error

    def watch(
        self, kind: Kind, namespace: str | None, version: str, seconds: float, **query: Any
    ) -> Iterator[tuple[str, Object]]:
        """Yield (type, object) of changes after resource version `version`, for about `seconds`.

        Ends early when the version is too old or the connection breaks; list again then. The query
        takes selectors; the namespace None is all of them.
        """
        answer = self._send(
            "GET",
            self._path(kind, namespace),
            watch="true",
            resourceVersion=version,
            timeoutSeconds=max(1, round(seconds)),
            read_seconds=seconds + 1,
            **query,
        )
        try:
            yield from _events(answer)
        except urllib3.exceptions.HTTPError:
            return
        finally:
            answer.close()

    def log(self, pod: str, *, idle_seconds: float, **query: Any) -> Iterator[str]:
        """Yield the lines of a pod's log as they come.

        Ends with the log, when nothing came for `idle_seconds`, and when the connection breaks.

        Raises:
            NotFoundError: The pod does not exist.
        """
        path = f"/api/v1/namespaces/{self.namespace}/pods/{quote(pod, safe='')}/log"
        answer = self._send("GET", path, accept="*/*", read_seconds=idle_seconds, **query)
        try:
            for line in _lines(answer):
                yield line.decode(errors="replace")
        except urllib3.exceptions.HTTPError:
            return
        finally:
            answer.close()

    def read(self, path: str) -> Object:
        """Read any object by its path."""
        return self._json("GET", path)

    def served_versions(self) -> list[str]:
        """Return the served versions of agentcorps.dev; none without the CRDs."""
        try:
            group = self._json("GET", f"/apis/{GROUP}")
        except NotFoundError:
            return []
        return [version["version"] for version in group["versions"]]

    def _json(
        self, method: str, path: str, body: Object | None = None, **query: Any
    ) -> dict[str, Any]:
        answer = self._send(method, path, body, **query)
        try:
            decoded = json.loads(answer.data)
        except (ValueError, urllib3.exceptions.HTTPError) as error:
            raise UnreachableError(f"the answer of {self.host} broke off: try again") from error
        if not isinstance(decoded, dict):
            raise ApiError(f"{self.host} does not answer like a Kubernetes API server")
        return decoded

    def _send(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        read_seconds: float = ANSWER_SECONDS,
        accept: str = "application/json",
        **query: Any,
    ) -> urllib3.BaseHTTPResponse:
        headers = {**self._headers, "Accept": accept}
        if body is not None:
            patch = "merge-patch+" if method == "PATCH" else ""
            headers["Content-Type"] = f"application/{patch}json"
        given = [(name, value) for name, value in query.items() if value is not None]
        request = self._client.param_serialize(
            method, path, query_params=given, header_params=headers, body=body,
            auth_settings=["BearerToken"],
        )  # fmt: skip
        try:
            answer: urllib3.BaseHTTPResponse = self._client.call_api(
                *request, _request_timeout=(CONNECT_SECONDS, read_seconds)
            ).response
            if answer.status < 300:  # noqa: PLR2004 (2xx is success)
                return answer
            text = answer.data.decode(errors="replace")
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise error_from_connection(self.host, error) from error
        refusal = error_from_answer(answer.status, text, self.host)
        if isinstance(refusal, NotFoundError) and path.startswith(f"/apis/{GROUP}/"):
            self._check_served(text)
        raise refusal

    def _check_served(self, text: str) -> None:
        # The API server knows the resource when it answers with a Status that names it.
        if '"details"' in text and '"name"' in text:
            return
        versions = self.served_versions()
        if not versions:
            raise InputError(
                f"{self.host} does not serve {GROUP}:"
                " install agentcorps there, or name another --context"
            )
        if VERSION not in versions:
            raise InputError(
                f"{self.host} serves {GROUP} {', '.join(versions)}, this command speaks {VERSION}:"
                " use a version of it that fits"
            )

    def _path(self, kind: Kind, namespace: str | None, name: str | None = None) -> str:
        place = "" if namespace is None else f"/namespaces/{quote(namespace, safe='')}"
        end = "" if name is None else f"/{quote(name, safe='')}"
        return f"/apis/{kind.api_version}{place}/{kind.plural}{end}"

    def check_namespace(self) -> None:
        """Refuse a namespace that is known not to exist.

        Raises:
            InputError: It does not exist; says nothing where one may not look.
        """
        try:
            self._json("GET", f"/api/v1/namespaces/{self.namespace}")
        except NotFoundError as error:
            raise self._no_namespace() from error
        except ApiError:  # only a help: many users may not read namespaces
            return

    def _absent(self, kind: Kind, name: str) -> CliError:
        self.check_namespace()
        elsewhere = self._found_elsewhere(kind, name)
        if elsewhere:
            return NotFoundError(
                f"{kind.singular} {name!r} is not in namespace {self.namespace!r}"
                f" but in {', '.join(elsewhere)}: add -n {elsewhere[0]}"
            )
        return NotFoundError(
            f"{kind.singular} {name!r} not found in namespace {self.namespace!r}:"
            f" see `agentcorps {_NOUNS.get(kind.kind, kind.singular)} get -A`"
        )

    def _no_namespace(self) -> CliError:
        return InputError(
            f"namespace {self.namespace!r} does not exist: name another with -n, or create it with"
            f" `kubectl create namespace {self.namespace}`"
        )

    def _found_elsewhere(self, kind: Kind, name: str) -> list[str]:
        try:
            found = self.list_all(kind, None, fieldSelector=f"metadata.name={name}")
        except CliError:  # only a help: many users may not list all namespaces
            return []
        return sorted(item["metadata"]["namespace"] for item in found)


_NOUNS: Final = {AGENT_POOL.kind: "pool"}


def check_name(kind: Kind, name: str) -> None:
    """Refuse a name that no object can have, before it gets into a URL."""
    if not is_dns_subdomain(name):
        raise InputError(
            f"{name!r} cannot be the name of a {kind.singular}: lower-case letters, digits and '-'"
        )


def _events(answer: urllib3.BaseHTTPResponse) -> Iterator[tuple[str, Object]]:
    for line in _lines(answer):
        event = json.loads(line)
        if event["type"] == "ERROR":
            return
        yield event["type"], event["object"]


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield whole lines; what follows the last line break was cut off, and is left out."""
    rest = b""
    for chunk in answer.stream(amt=65536, decode_content=True):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
