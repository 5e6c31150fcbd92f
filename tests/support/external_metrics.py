"""A real external.metrics.k8s.io: a server of this machine that the API server asks (aggregation).

It serves what adapters such as KEDA's serve, so that the HPA controller, and whoever else reads
external metrics, finds them where it would find them in production.
"""

import base64
import json
import ssl
import tempfile
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import gmtime, strftime
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

import trustme

from support.kubectl import Kubectl
from support.poll import until

Json = dict[str, Any]

GROUP: Final = "external.metrics.k8s.io"
VERSION: Final = f"{GROUP}/v1beta1"
ROOT: Final = f"/apis/{VERSION}"
SERVICE: Final = "external-metrics"
APISERVICE: Final = f"v1beta1.{GROUP}"
LIST: Final = "ExternalMetricValueList"


@dataclass(frozen=True, slots=True)
class Series:
    """One value of a metric, and the labels that tell it from the others."""

    value: str
    """A quantity, such as 12 or 1500m."""
    labels: dict[str, str]

    def chosen(self, selector: str) -> bool:
        """Tell whether a selector of equalities fits the labels."""
        wanted = (part.split("=", 1) for part in selector.split(",") if part)
        return all(self.labels.get(key) == value for key, value in wanted)


class ExternalMetrics:
    """Serves external metrics of all namespaces while ``with`` lasts."""

    def __init__(self, kubectl: Kubectl) -> None:
        """Prepare a server; its Service is put into the namespace of ``kubectl``."""
        assert kubectl.namespace is not None
        self._kubectl = kubectl
        self._namespace = kubectl.namespace
        self._series: dict[str, list[Series]] = {}
        self.failure: HTTPStatus | None = None
        """What every question about a metric is answered with, instead of values."""
        self.silent = threading.Event()
        """While it is set, questions about a metric wait for their answer."""
        self.asked: list[str] = []
        """Path and query of every question about a metric."""
        self._authority = trustme.CA()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        # The handshake is left to the thread of the request, so that a slow one holds up nobody.
        self._server.socket = self._tls().wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        """Serve, register, and wait until the API server passes questions on."""
        self._thread.start()
        port = self._server.server_address[1]
        applied = self._kubectl.send("apply", self._service(), self._registration(port))
        assert applied.ok, applied.stderr
        until(lambda: self._kubectl.run("get", "--raw", ROOT).ok, "external metrics")
        return self

    def __exit__(self, *_: object) -> None:
        """Take the registration back first: an API without a server holds up whoever lists all."""
        self._kubectl.run("delete", "apiservice", APISERVICE)
        self.silent.clear()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, metric: str, *series: Series) -> None:
        """Set the values of a metric, in place of those that it had."""
        self._series[metric] = list(series)

    def set(self, metric: str, value: float | str, **labels: str) -> None:
        """Set a metric to one value."""
        self.put(metric, Series(str(value), labels))

    def _service(self) -> Json:
        """Return the Service; kube-apiserver resolves one of this type without a proxy."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SERVICE, "namespace": self._namespace},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        }

    def _registration(self, port: int) -> Json:
        return {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": APISERVICE},
            "spec": {
                "group": GROUP,
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(self._authority.cert_pem.bytes()).decode(),
                "service": {"name": SERVICE, "namespace": self._namespace, "port": port},
            },
        }

    def _tls(self) -> ssl.SSLContext:
        """Return a context in which only the API server may ask, by its certificate for that."""
        found = self._kubectl.within("kube-system").get(
            "configmap/extension-apiserver-authentication"
        )
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cadata=found["data"]["requestheader-client-ca-file"]
        )
        context.verify_mode = ssl.CERT_REQUIRED
        names = (f"{SERVICE}.{self._namespace}.svc", "localhost")
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder, "tls.pem")
            self._authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(pair)
            context.load_cert_chain(pair)
        return context

    def _answer(self, target: str) -> tuple[HTTPStatus, Json]:
        url = urlsplit(target)
        below = url.path.removeprefix(ROOT).strip("/").split("/")
        if not url.path.startswith(ROOT):
            return HTTPStatus.NOT_FOUND, _refusal(HTTPStatus.NOT_FOUND)
        if below == [""]:
            return HTTPStatus.OK, self._resources()
        self.asked.append(target)
        until(lambda: not self.silent.is_set(), "end of the silence", seconds=120)
        if self.failure is not None:
            return self.failure, _refusal(self.failure)
        selector = parse_qs(url.query).get("labelSelector", [""])[0]
        series = self._series.get(below[-1], [])
        items = [_item(below[-1], one) for one in series if one.chosen(selector)]
        return HTTPStatus.OK, {"kind": LIST, "apiVersion": VERSION, "metadata": {}, "items": items}

    def _resources(self) -> Json:
        resources = [
            {"name": name, "singularName": "", "namespaced": True, "kind": LIST, "verbs": ["get"]}
            for name in self._series
        ]
        return {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": VERSION,
            "resources": resources,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            """Answers what the API server passes on."""

            def do_GET(self) -> None:
                """Answer."""
                code, body = answer(self.path)
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_arguments: Any) -> None:
                """Keep quiet."""

        return Handler


def _item(metric: str, series: Series) -> Json:
    return {
        "metricName": metric,
        "metricLabels": series.labels,
        "timestamp": strftime("%Y-%m-%dT%H:%M:%SZ", gmtime()),
        "value": series.value,
    }


def _refusal(code: HTTPStatus) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": int(code)}
