"""A real authenticating reverse proxy over TLS, as clusters put before Prometheus.

The token says who asks, and here also what happens: a good one is passed on, and others meet a
server that is slow, that redirects, or that never stops talking.
"""

import http.client
import ssl
import tempfile
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, Self

from support.prometheus import HOST, Prometheus

GOOD: Final = "t0ken-of-the-good"
SLOW: Final = "t0ken-of-the-slow"
MOVED: Final = "t0ken-of-the-moved"
ENDLESS: Final = "t0ken-of-the-endless"
CHUNK: Final = b"1" * 65536


class BearerProxy:
    """Stands before a Prometheus while ``with`` lasts."""

    def __init__(self, behind: Prometheus) -> None:
        """Prepare a proxy whose certificate is from the same authority."""
        self._behind = behind
        self.ending = threading.Event()
        self.elsewhere = behind.address
        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), type("Bound", (Handler,), {"proxy": self})
        )
        self._server.daemon_threads = True
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder, "tls.pem")
            behind.authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(pair)
            context.load_cert_chain(pair)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self) -> str:
        """URL of the proxy."""
        return f"https://{HOST}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and let go of those who are kept waiting."""
        self.ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def ask(self, path: str) -> tuple[int, bytes]:
        """Return what Prometheus answers."""
        trust = ssl.create_default_context(cadata=self._behind.ca_pem)
        connection = http.client.HTTPSConnection(HOST, self._behind.port, context=trust, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


class Handler(BaseHTTPRequestHandler):
    """Judges the token, and passes on."""

    proxy: "BearerProxy"

    def setup(self) -> None:
        """Shake hands in the request's own thread; who does not trust us goes away."""
        super().setup()
        self.connection.settimeout(60)

    def handle(self) -> None:
        """Answer; a client that goes away in between is no error."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def finish(self) -> None:
        """End; a client that has gone away has nothing to be sent."""
        try:
            super().finish()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        """Answer as the token says."""
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        ways = {
            GOOD: self.pass_on,
            SLOW: self.wait,
            MOVED: self.send_away,
            ENDLESS: self.talk,
        }
        ways.get(token, self.refuse)()

    def pass_on(self) -> None:
        """Answer what Prometheus says."""
        self.reply(*self.proxy.ask(self.path))

    def wait(self) -> None:
        """Say nothing for as long as anybody listens."""
        self.proxy.ending.wait(120)

    def send_away(self) -> None:
        """Redirect to Prometheus itself."""
        self.send_response(HTTPStatus.FOUND)
        self.send_header("Location", self.proxy.elsewhere + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def talk(self) -> None:
        """Talk on and on."""
        self.send_response(HTTPStatus.OK)
        self.end_headers()
        while not self.proxy.ending.is_set():
            self.wfile.write(CHUNK)

    def refuse(self) -> None:
        """Know nobody of this token."""
        self.reply(HTTPStatus.UNAUTHORIZED, b"who are you?")

    def reply(self, code: int, body: bytes) -> None:
        """Send an answer."""
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Keep quiet."""
