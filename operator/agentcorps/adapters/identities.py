"""Whose token it is, by TokenReview: implements ``ports.Identities``."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from agentcorps.core.records import Key
from agentcorps.ports import PodIdentity

if TYPE_CHECKING:
    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.ports import Clock

AUDIENCE = "agentcorps.dev"
_REVIEWS_AT_A_TIME = 16
LONGEST_TOKEN = 8192
_POSITIVE_SECONDS = 600.0
_UNDATED_SECONDS = 60.0
_NEGATIVE_SECONDS = 10.0
_MOST_POSITIVE = 20_000
_MOST_NEGATIVE = 2_000
_MOST_GONE = 5_000
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_JWT_PARTS = 3
_USERNAME_PARTS = 4


@dataclass(frozen=True, slots=True)
class _Answer:
    identity: PodIdentity | None
    until: float


class TokenReviews:
    """Asks the API server, and remembers its answers under the tokens' SHA-256.

    A pod's identity is remembered until its token expires, for 10 minutes at most, or until
    ``forget``; a refusal for 10 seconds, so that a flood of bad tokens is not one of reviews.
    """

    def __init__(self, api: ApiConnection, *, clock: Clock, audience: str = AUDIENCE) -> None:
        """Prepare; ``audience`` is the one that tokens must be made for."""
        self._api = api
        self._clock = clock
        self._audience = audience
        self._turn = asyncio.Semaphore(_REVIEWS_AT_A_TIME)
        self._positive: OrderedDict[bytes, _Answer] = OrderedDict()
        self._negative: OrderedDict[bytes, _Answer] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()

    def known(self, token: str) -> PodIdentity | None:
        """The pod of a token that was found to be good before, without asking anybody."""
        answer = self._known(digest_of(token))
        return None if answer is None else self._living(answer)

    async def identify(self, token: str) -> PodIdentity | None:
        """The pod that the token is bound to; None for a foreign, expired or unknown token.

        Raises:
            ClusterError: The API server cannot say (Unavailable), or the operator may not ask it
                (Refused).
        """
        if len(token) > LONGEST_TOKEN or not token.isascii() or token.count(".") != _JWT_PARTS - 1:
            return None
        digest = digest_of(token)
        known = self._known(digest)
        if known is None:
            async with self._turn:
                known = self._known(digest) or await self._review(digest, token)
        return self._living(known)

    def forget(self, pod_uid: str) -> None:
        """Forget the tokens of a pod that is gone, for good: its UID never comes back.

        The API server itself believes a token for some seconds after its pod was deleted.
        """
        self._gone[pod_uid] = None
        while len(self._gone) > _MOST_GONE:
            self._gone.popitem(last=False)
        for digest, answer in list(self._positive.items()):
            if answer.identity is not None and answer.identity.pod_uid == pod_uid:
                del self._positive[digest]

    def _living(self, answer: _Answer) -> PodIdentity | None:
        identity = answer.identity
        return None if identity is None or identity.pod_uid in self._gone else identity

    def _known(self, digest: bytes) -> _Answer | None:
        answer = self._positive.get(digest) or self._negative.get(digest)
        if answer is None or answer.until <= self._clock.now().monotonic:
            return None
        return answer

    async def _review(self, digest: bytes, token: str) -> _Answer:
        review = await self._api.request(
            "POST",
            "/apis/authentication.k8s.io/v1/tokenreviews",
            body={
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": token, "audiences": [self._audience]},
            },
        )
        identity = _identity(review.get("status") or {}, self._audience)
        now = self._clock.now()
        if identity is None:
            answer = _Answer(None, now.monotonic + _NEGATIVE_SECONDS)
            _store(self._negative, digest, answer, _MOST_NEGATIVE)
        else:
            lasts = _lifetime(token, now.wall)
            answer = _Answer(identity, now.monotonic + lasts)
            _store(self._positive, digest, answer, _MOST_POSITIVE)
        return answer


def digest_of(token: str) -> bytes:
    """Return what a token is remembered under."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _store(answers: OrderedDict[bytes, _Answer], digest: bytes, answer: _Answer, most: int) -> None:
    answers[digest] = answer
    answers.move_to_end(digest)
    while len(answers) > most:
        answers.popitem(last=False)


def _identity(status: dict[str, Any], audience: str) -> PodIdentity | None:
    """The pod of a TokenReview's status; None unless it is a bound token of the right audience."""
    if status.get("authenticated") is not True or audience not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    extra = user.get("extra") or {}
    names, uids = list(extra.get(_POD_NAME) or ()), list(extra.get(_POD_UID) or ())
    account = str(user.get("username") or "").split(":")
    if len(names) != 1 or len(uids) != 1 or len(account) != _USERNAME_PARTS:
        return None
    system, kind, namespace, _ = account
    if (system, kind) != ("system", "serviceaccount"):
        return None
    return PodIdentity(pod=Key(namespace, str(names[0])), pod_uid=str(uids[0]))


def _lifetime(token: str, wall: float) -> float:
    """Seconds for which a token that the API server has verified may be believed."""
    payload = token.split(".")[1]
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires = float(claims["exp"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        return _UNDATED_SECONDS
    return min(_POSITIVE_SECONDS, max(0.0, expires - wall))
