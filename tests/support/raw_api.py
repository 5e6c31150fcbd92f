"""A plain HTTP client for the API server: standard library only, nothing of the operator's.

What judges the operator must not share its mistakes, so this knows neither its connection nor its
records.
"""

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
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


def access(kubeconfig: Path) -> tuple[str, ssl.SSLContext]:
    """Return host and port of the API server, and who we are there, as a kubeconfig says it."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    user = config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    tls = ssl.create_default_context(cadata=authority)
    with tempfile.NamedTemporaryFile() as pair:
        for part in ("client-certificate-data", "client-key-data"):
            pair.write(base64.b64decode(user[part]))
        pair.flush()
        tls.load_cert_chain(pair.name)
    return str(urlsplit(cluster["server"]).netloc), tls


class RawApi:
    """One administrator's access to an API server, as a kubeconfig describes it."""

    def __init__(self, kubeconfig: Path, *, timeout: float = 10.0) -> None:
        """Read the kubeconfig; ``timeout`` bounds each call in seconds."""
        self._address, self._tls = access(kubeconfig)
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
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data, headers={"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        found: Json = json.loads(text) if text else {}
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise RawApiError(answer.status, found.get("message"))
        return found

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
            connection.request("GET", _url(path, query))
            answer = connection.getresponse()
            if answer.status >= http.HTTPStatus.BAD_REQUEST:
                raise RawApiError(answer.status, answer.read().decode(errors="replace"))
            while line := answer.readline():
                yield line
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._address, context=self._tls, timeout=timeout)


def _url(path: str, query: dict[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
