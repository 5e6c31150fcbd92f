"""Credentials from kubeconfigs of several kinds."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentcorps.adapters.credentials import Credentials, CredentialsError
from agentcorps.adapters.pki import issue


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """Return the file of a CA."""
    file = tmp_path / "ca.crt"
    file.write_text(issue(("server",), 1_800_000_000).ca_pem, encoding="utf-8")
    return file


def written(tmp_path: Path, authority: Path, **user: Any) -> str:
    """Write a kubeconfig with two contexts and return its path."""
    cluster = {"server": "https://api.example:6443/", "certificate-authority": str(authority)}
    config = {
        "clusters": [
            {"name": "one", "cluster": cluster},
            {"name": "two", "cluster": cluster | {"server": "https://other.example"}},
        ],
        "users": [{"name": "me", "user": user}],
        "contexts": [
            {"name": "here", "context": {"cluster": "one", "user": "me"}},
            {"name": "there", "context": {"cluster": "two", "user": "me"}},
        ],
        "current-context": "here",
    }
    file = tmp_path / "config"
    file.write_text(json.dumps(config), encoding="utf-8")
    return str(file)


async def test_a_token(tmp_path: Path, authority: Path) -> None:
    """A token goes into the Authorization header, and to kopf without its scheme."""
    credentials = await Credentials.load(written(tmp_path, authority, token="abc"))
    access = credentials.access()
    assert access.base_url == "https://api.example:6443"
    assert access.authorization == "Bearer abc"
    assert credentials.login().token == "abc"
    assert credentials.login().server == "https://api.example:6443"


async def test_another_context(tmp_path: Path, authority: Path) -> None:
    """The context chooses the cluster."""
    path = written(tmp_path, authority, token="abc")
    access = (await Credentials.load(path, "there")).access()
    assert access.base_url == "https://other.example"


async def test_a_refused_token_is_read_anew(tmp_path: Path, authority: Path) -> None:
    """After a 401 the token file is read again; without anything newer the answer is no."""
    file = tmp_path / "token"
    file.write_text("old", encoding="utf-8")
    credentials = await Credentials.load(written(tmp_path, authority, tokenFile=str(file)))
    refused = credentials.access()
    assert not await credentials.refresh(refused)
    file.write_text("new", encoding="utf-8")
    assert await credentials.refresh(refused)
    assert credentials.access().authorization == "Bearer new"


async def test_an_exec_plugin(tmp_path: Path, authority: Path) -> None:
    """The token of an exec plugin is used."""
    status = {"token": "from-plugin"}
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "echo",
        "args": [json.dumps(answer)],
        "interactiveMode": "Never",
    }
    credentials = await Credentials.load(written(tmp_path, authority, exec=plugin))
    assert credentials.access().authorization == "Bearer from-plugin"


@pytest.mark.parametrize("content", ["", "[]", "{]", "contexts: 5", "current-context: gone"])
async def test_broken_files_are_named(tmp_path: Path, content: str) -> None:
    """A kubeconfig that cannot be used is refused by its path."""
    file = tmp_path / "broken"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(CredentialsError, match="broken"):
        await Credentials.load(str(file))


async def test_absent_files_are_named(tmp_path: Path) -> None:
    """A kubeconfig that is not there is refused by its path."""
    with pytest.raises(CredentialsError, match="absent: no such file"):
        await Credentials.load(str(tmp_path / "absent"))


async def test_unknown_contexts_are_named(tmp_path: Path, authority: Path) -> None:
    """A context that the kubeconfig lacks is refused by its name."""
    with pytest.raises(CredentialsError, match="nowhere"):
        await Credentials.load(written(tmp_path, authority, token="abc"), "nowhere")


async def test_outside_of_a_pod() -> None:
    """Without a kubeconfig and outside of a pod the pod's missing account is named."""
    with pytest.raises(CredentialsError, match="service account"):
        await Credentials.load(None)
