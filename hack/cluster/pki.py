"""Keys and certificates of a cluster, made anew at each start by the ``openssl`` program."""

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from cluster.errors import ClusterError

_DAYS = "365"
_EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key.

    Attributes:
        cert: the certificate, PEM.
        key: its private key, PEM.
    """

    cert: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """The cluster's certificate authority.

    Attributes:
        folder: where the certificates are; readable by its owner only.
    """

    folder: Path

    @property
    def ca(self) -> Pair:
        """The authority's own certificate and key."""
        return self.pair("ca")

    def pair(self, name: str) -> Pair:
        """Return the paths of a certificate and its key."""
        return Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")

    def create(self) -> None:
        """Make the authority, and the key that signs ServiceAccount tokens.

        Raises:
            ClusterError: ``openssl`` is missing or failed.
        """
        self.folder.mkdir(parents=True, mode=0o700)
        _openssl(
            "req", "-x509", *_EC_KEY, "-days", _DAYS, "-subj", "/CN=agentcorps-ca",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
            "-keyout", str(self.ca.key), "-out", str(self.ca.cert),
        )  # fmt: skip
        tokens = self.pair("service-account")
        _openssl(
            "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-out", str(tokens.key),
        )  # fmt: skip
        _openssl("pkey", "-in", str(tokens.key), "-pubout", "-out", str(tokens.cert))

    def issue(
        self, name: str, common_name: str, *, group: str = "", hosts: Sequence[str] = ()
    ) -> Pair:
        """Issue a certificate for clients, and for servers too if it names hosts.

        Args:
            name: names the files.
            common_name: the user name that the API server sees.
            group: the group that the API server sees.
            hosts: ``DNS:`` and ``IP:`` names of the server.

        Raises:
            ClusterError: ``openssl`` failed.
        """
        pair = self.pair(name)
        usage = "clientAuth,serverAuth" if hosts else "clientAuth"
        names = ["-addext", f"subjectAltName={','.join(hosts)}"] if hosts else []
        _openssl(
            "req", "-x509", "-CA", str(self.ca.cert), "-CAkey", str(self.ca.key), *_EC_KEY,
            "-days", _DAYS, "-subj", f"{f'/O={group}' if group else ''}/CN={common_name}",
            "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "keyUsage=critical,digitalSignature",
            "-addext", f"extendedKeyUsage={usage}", *names,
            "-keyout", str(pair.key), "-out", str(pair.cert),
        )  # fmt: skip
        return pair

    def kubeconfig(self, path: Path, context: str, server: str, client: Pair) -> Path:
        """Write a kubeconfig with everything inside it, whole or not at all, and return it.

        Args:
            path: the file.
            context: name of its only context, cluster and user.
            server: URL of the API server.
            client: the client's certificate.
        """
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": context,
                    "cluster": {
                        "server": server,
                        "certificate-authority-data": _encoded(self.ca.cert),
                    },
                }
            ],
            "users": [
                {
                    "name": context,
                    "user": {
                        "client-certificate-data": _encoded(client.cert),
                        "client-key-data": _encoded(client.key),
                    },
                }
            ],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        }
        draft = path.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(content, indent=2))
        return draft.replace(path)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _openssl(*arguments: str) -> None:
    if which("openssl") is None:
        raise ClusterError("needs the openssl program: install the package openssl")
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-400:]}")
