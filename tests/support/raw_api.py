"""A plain HTTP client for the API server: standard library only, nothing of the operator's.

What judges the operator must not share its mistakes, so this knows neither its connection nor its
records.
"""

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import yaml

Json = dict[str, Any]
PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
}


class RawApiError(Exception):
    """The API server refused; its status code is the first argument."""

    @property
    def status(self) -> int:
        """HTTP status code."""
        return int(self.args[0])


class Access(NamedTuple):
    """Where the API server is, and who we are there."""

    address: str
    """Host and port."""
    tls: ssl.SSLContext
    headers: dict[str, str]


def access(kubeconfig: Path) -> Access:
    """Read a kubeconfig of one user, who has a client certificate or a token."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    user = config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    if "token" not in user:
        with tempfile.NamedTemporaryFile() as pair:
            for part in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[part]))
            pair.flush()
            tls.load_cert_chain(pair.name)
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    return Access(str(urlsplit(cluster["server"]).netloc), tls, headers)


class RawApi:
    """One administrator's access to an API server, as a kubeconfig describes it."""

    def __init__(self, kubeconfig: Path, *, timeout: float = 10.0) -> None:
        """Read the kubeconfig; ``timeout`` bounds each call in seconds."""
        self._access = access(kubeconfig)
        self._timeout = timeout

    def get(self, path: str, **query: str) -> Json:
        """Read an object or a list."""
        return self.call("GET", _url(path, query))

    def post(self, path: str, body: Json) -> Json:
        """Create an object."""
        return self.call("POST", path, body)

    def patch(self, path: str, body: Any, *, kind: str = "merge") -> Json:
        """Patch an object; ``kind`` is ``merge`` or ``json``."""
        return self.call("PATCH", path, body, content_type=PATCHES[kind])

    def delete(self, path: str, **options: Any) -> Json:
        """Delete an object, or all of a collection."""
        return self.call("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", **options})

    def call(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> Json:
        """Send one request and return the answer.

        Raises:
            RawApiError: The API server refused.
            OSError: There was no answer.
        """
        connection = self._connect(self._timeout)
        try:
            return self._exchange(connection, method, path, body, content_type)
        finally:
            connection.close()

    def post_all(self, path: str, bodies: Iterable[Json]) -> Iterator[Json]:
        """Create many objects over one connection, and yield each answer; errors as in `call`."""
        connection = self._connect(self._timeout)
        try:
            for body in bodies:
                yield self._exchange(connection, "POST", path, body)
        finally:
            connection.close()

    def watch(self, path: str, version: str, *, seconds: int = 20) -> Iterator[Json]:
        """Yield the events after a version until the server ends the watch.

        Raises:
            RawApiError: It could not be opened.
            OSError: It broke off.
        """
        return map(json.loads, self.watch_lines(path, version, seconds=seconds))

    def watch_lines(self, path: str, version: str, *, seconds: int = 20) -> Iterator[bytes]:
        """Yield the events of ``watch`` as they were sent, one line each."""
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(seconds)}
        connection = self._connect(seconds + 10)
        try:
            connection.request("GET", _url(path, query), headers=self._access.headers)
            answer = connection.getresponse()
            if answer.status >= http.HTTPStatus.BAD_REQUEST:
                raise RawApiError(answer.status, answer.read().decode(errors="replace"))
            while line := answer.readline():
                yield line
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def _exchange(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Any,
        content_type: str = "application/json",
    ) -> Json:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type, **self._access.headers}
        try:
            connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        found: Json = json.loads(text) if text else {}
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise RawApiError(answer.status, found.get("message"))
        return found

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        given = self._access
        return http.client.HTTPSConnection(given.address, context=given.tls, timeout=timeout)


def _url(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
