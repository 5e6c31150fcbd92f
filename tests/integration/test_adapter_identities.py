"""Tokens of real pods, reviewed by a real API server."""

from pathlib import Path
from typing import Any

import pytest

from agentcorps.adapters.connection import ApiConnection
from agentcorps.adapters.identities import AUDIENCE, TokenReviews
from agentcorps.core.records import Key
from agentcorps.ports import PodIdentity, Unavailable
from support.api import HandClock, connected, proxied

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "readers-0"},
    "spec": {
        "automountServiceAccountToken": False,
        "containers": [{"name": "agent", "image": "none.invalid/none"}],
    },
}


async def account(api: ApiConnection, namespace: str, name: str = "worker") -> None:
    """Create a ServiceAccount."""
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    await api.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", body=body)


async def pod(api: ApiConnection, namespace: str) -> str:
    """Create the pod, which never runs, and return its UID."""
    body = POD | {"spec": POD["spec"] | {"serviceAccountName": "worker"}}
    made = await api.request("POST", f"/api/v1/namespaces/{namespace}/pods", body=body)
    return str(made["metadata"]["uid"])


async def token(
    api: ApiConnection, namespace: str, uid: str | None, audience: str = AUDIENCE
) -> str:
    """Return a token as the kubelet asks for it; without a UID one that is bound to no pod."""
    spec: dict[str, Any] = {"audiences": [audience], "expirationSeconds": 3600}
    if uid:
        spec["boundObjectRef"] = {
            "kind": "Pod",
            "apiVersion": "v1",
            "name": "readers-0",
            "uid": uid,
        }
    answer = await api.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/worker/token",
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
    )
    return str(answer["status"]["token"])


async def test_a_pods_token_names_the_pod(kubeconfig: Path, namespace: str) -> None:
    """A token bound to a pod and made for us proves that pod's name and UID."""
    async with connected(kubeconfig) as api:
        await account(api, namespace)
        uid = await pod(api, namespace)
        proof = await TokenReviews(api, clock=HandClock()).identify(
            await token(api, namespace, uid)
        )
    assert proof == PodIdentity(pod=Key(namespace, "readers-0"), pod_uid=uid)


async def test_other_tokens_prove_nothing(kubeconfig: Path, namespace: str) -> None:
    """A token for another audience, of no pod, or tampered with proves nothing."""
    async with connected(kubeconfig) as api:
        await account(api, namespace)
        uid = await pod(api, namespace)
        reviews = TokenReviews(api, clock=HandClock())
        good = await token(api, namespace, uid)
        head, _, signature = good.split(".")
        foreign = await token(api, namespace, uid, audience="https://kubernetes.default.svc")
        unbound = await token(api, namespace, None)
        for bad in (foreign, unbound, f"{head}.e30.{signature}", good[:-6] + "AAAAAA"):
            assert await reviews.identify(bad) is None


async def test_nonsense_is_not_reviewed(kubeconfig: Path, namespace: str) -> None:
    """What cannot be a token is refused without asking the API server."""
    del namespace
    async with proxied(kubeconfig) as (api, proxy):
        reviews = TokenReviews(api, clock=HandClock())
        for bad in ("", "word", "a.b", "\u00e4.b.c", "a.b.c" + "c" * 9000):
            assert await reviews.identify(bad) is None
        assert not proxy.requests


async def test_answers_are_remembered(kubeconfig: Path, namespace: str) -> None:
    """A good token is reviewed once in ten minutes, a bad one once in ten seconds."""
    clock = HandClock()
    async with proxied(kubeconfig) as (api, proxy):
        await account(api, namespace)
        uid = await pod(api, namespace)
        good = await token(api, namespace, uid)
        bad = good[:-6] + "AAAAAA"
        reviews = TokenReviews(api, clock=clock)
        for _ in range(3):
            assert await reviews.identify(good)
            assert not await reviews.identify(bad)
        assert proxy.count("POST", "tokenreviews") == 2
        clock.turn(11)
        assert not await reviews.identify(bad)
        assert await reviews.identify(good)
        assert proxy.count("POST", "tokenreviews") == 3
        clock.turn(600)
        assert await reviews.identify(good)
        assert proxy.count("POST", "tokenreviews") == 4


async def test_an_expiring_token_is_not_believed_longer(kubeconfig: Path, namespace: str) -> None:
    """A token with a minute left is reviewed again after that minute."""
    clock = HandClock()
    async with proxied(kubeconfig) as (api, proxy):
        await account(api, namespace)
        good = await token(api, namespace, await pod(api, namespace))
        clock.turn(3540)
        reviews = TokenReviews(api, clock=clock)
        assert await reviews.identify(good)
        clock.turn(65)
        await reviews.identify(good)
        assert proxy.count("POST", "tokenreviews") == 2


async def test_a_deleted_pods_token_is_forgotten(kubeconfig: Path, namespace: str) -> None:
    """Once its pod is gone and forgotten, a token proves nothing any more."""
    async with connected(kubeconfig) as api:
        await account(api, namespace)
        uid = await pod(api, namespace)
        good = await token(api, namespace, uid)
        reviews = TokenReviews(api, clock=HandClock())
        assert await reviews.identify(good)
        path = f"/api/v1/namespaces/{namespace}/pods/readers-0"
        await api.request("DELETE", path, body={"gracePeriodSeconds": 0})
        reviews.forget(uid)
        assert await reviews.identify(good) is None


async def test_an_outage_is_no_refusal(kubeconfig: Path, namespace: str) -> None:
    """While the API server cannot say, the answer is Unavailable, and nothing is remembered."""
    async with proxied(kubeconfig) as (api, proxy):
        await account(api, namespace)
        good = await token(api, namespace, await pod(api, namespace))
        reviews = TokenReviews(api, clock=HandClock())
        proxy.refusing = True
        with pytest.raises(Unavailable):
            await reviews.identify(good)
        proxy.refusing = False
        assert await reviews.identify(good)
