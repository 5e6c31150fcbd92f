"""A real Prometheus on this machine, over TLS, that scrapes a real exporter each second."""

import json
import ssl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import trustme

from cluster.ports import free_ports
from support.api_server import cluster_tool
from support.exporter import METRIC
from support.poll import until

HOST = "localhost"
CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
scrape_configs:
  - job_name: documents
    static_configs: [targets: ["127.0.0.1:{port}"]]
"""
WEB_CONFIG = """
tls_server_config: {{cert_file: {cert}, key_file: {key}, min_version: TLS12}}
"""


class Prometheus:
    """An exporter and the server that scrapes it, while ``with`` lasts."""

    def __init__(self, folder: Path, more: str = "") -> None:
        """Prepare both in a folder of their own; ``more`` goes on with the list of its jobs."""
        self._more = more
        self.authority = trustme.CA()
        self.port, self._exporter_port = free_ports(2)
        self._folder = folder
        self._exporter: subprocess.Popen[str] | None = None
        self._open = ExitStack()

    @property
    def address(self) -> str:
        """URL of the server."""
        return f"https://{HOST}:{self.port}"

    @property
    def ca_pem(self) -> str:
        """The authority that issued the server's certificate."""
        return self.authority.cert_pem.bytes().decode()

    def __enter__(self) -> Self:
        """Start both, and wait until a value has come all the way."""
        binary = Path(cluster_tool("tools", "--with", "prometheus"), "prometheus")
        try:
            self._exporter = self._started(
                sys.executable, "-m", "support.exporter", str(self._exporter_port), stdin=True
            )
            self._started(str(binary), *self._flags())
            self.set("probe", 1)
            until(lambda: self.value(f'{METRIC}{{queue="probe"}}') == "1", "a scrape", seconds=120)
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End both."""
        self._open.close()

    def set(self, queue: str, value: float | str) -> None:
        """Have the exporter serve another value; ``gone``: none."""
        assert self._exporter is not None
        assert self._exporter.stdin is not None
        self._exporter.stdin.write(f"{queue} {value}\n")
        self._exporter.stdin.flush()

    def value(self, query: str) -> str | None:
        """Return what Prometheus says; None while it says nothing."""
        try:
            found: list[Any] = self.data("query", query=query)["result"]
        except URLError:
            return None
        return None if not found else str(found[0]["value"][1])

    def data(self, path: str, **parameters: str) -> Any:
        """Return what its HTTP API answers.

        Raises:
            URLError: It does not, or refuses.
        """
        context = ssl.create_default_context(cadata=self.ca_pem)
        url = f"{self.address}/api/v1/{path}?{urlencode(parameters)}"
        with urlopen(url, context=context) as answer:  # noqa: S310 - https, as built above
            return json.load(answer)["data"]

    def _flags(self) -> list[str]:
        pair = self.authority.issue_cert(HOST)
        cert, key = self._folder / "tls.crt", self._folder / "tls.key"
        pair.cert_chain_pems[0].write_to_path(cert)
        pair.private_key_pem.write_to_path(key)
        config, web = self._folder / "prometheus.yml", self._folder / "web.yml"
        config.write_text(CONFIG.format(port=self._exporter_port) + self._more)
        web.write_text(WEB_CONFIG.format(cert=cert, key=key))
        return [
            f"--config.file={config}",
            f"--web.config.file={web}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            f"--storage.tsdb.path={self._folder / 'data'}",
        ]

    def _started(self, *command: str, stdin: bool = False) -> subprocess.Popen[str]:
        log = self._open.enter_context((self._folder / "log").open("ab"))
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if stdin else None,
            stdout=log,
            stderr=log,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self._open.callback(_ended, process)
        return process


def _ended(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.wait(60)
    if process.stdin is not None:
        process.stdin.close()
