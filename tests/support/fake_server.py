"""An HTTP server with canned answers, for what a real API server cannot be made to say."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

Answer = tuple[int, str]
Script = Callable[[str], Answer]


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """Serve what `script` says for each path (with query); yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        """Answers every request from the script."""

        def do_GET(self) -> None:
            """Answer."""
            code, text = script(self.path)
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815 (the base class calls it so)

        def log_message(self, *_arguments: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_kubeconfig(
    path: Path, server: str, user: dict[str, Any] | None = None, namespace: str | None = None
) -> Path:
    """Write a kubeconfig with one context, called `main`."""
    context = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "contexts": [{"name": "main", "context": context}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {"token": "secret-token"}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path
