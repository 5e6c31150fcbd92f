"""Who may read the metrics, as the API server says: implements ``ports.Scrapers``."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentcorps.adapters.identities import LONGEST_TOKEN, digest_of
from agentcorps.ports import Admission

if TYPE_CHECKING:
    from agentcorps.adapters.connection import ApiConnection
    from agentcorps.ports import Clock

PATH: Final = "/metrics"
"""The path that somebody must have the right to get: a nonResourceURL of a ClusterRole."""
_REVIEWS_AT_A_TIME: Final = 4
_GRANTED_SECONDS: Final = 60.0
_REFUSED_SECONDS: Final = 10.0
_MOST_REMEMBERED: Final = 1_000
_TOKEN_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class _Answer(NamedTuple):
    admission: Admission
    until: float


class ScraperReviews:
    """Asks the API server, and remembers its answers under the tokens' SHA-256.

    A good answer is remembered for a minute, a bad one for ten seconds; a right that is taken away
    may so long still be used.
    """

    def __init__(self, api: ApiConnection, *, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._turn = asyncio.Semaphore(_REVIEWS_AT_A_TIME)
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()

    async def admit(self, token: str) -> Admission:
        """Judge the owner of a token.

        Raises:
            ClusterError: The API server cannot say (Unavailable), or the operator may not ask it
                (Refused).
        """
        if len(token) > LONGEST_TOKEN or not token.isascii():
            return Admission.UNKNOWN
        digest = digest_of(token)
        async with self._turn:
            known = self._answers.get(digest)
            if known is not None and self._clock.now().monotonic < known.until:
                return known.admission
            admission = await self._review(token)
        self._remember(digest, admission)
        return admission

    def _remember(self, digest: bytes, admission: Admission) -> None:
        lasts = _GRANTED_SECONDS if admission is Admission.GRANTED else _REFUSED_SECONDS
        self._answers[digest] = _Answer(admission, self._clock.now().monotonic + lasts)
        self._answers.move_to_end(digest)
        while len(self._answers) > _MOST_REMEMBERED:
            self._answers.popitem(last=False)

    async def _review(self, token: str) -> Admission:
        review = await self._ask(
            _TOKEN_REVIEWS, "authentication.k8s.io/v1", "TokenReview", {"token": token}
        )
        user = review.get("user") or {}
        if review.get("authenticated") is not True or not user.get("username"):
            return Admission.UNKNOWN
        spec = {
            "user": user["username"],
            "uid": user.get("uid", ""),
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
            "nonResourceAttributes": {"path": PATH, "verb": "get"},
        }
        verdict = await self._ask(
            _ACCESS_REVIEWS, "authorization.k8s.io/v1", "SubjectAccessReview", spec
        )
        return Admission.GRANTED if verdict.get("allowed") is True else Admission.FORBIDDEN

    async def _ask(
        self, path: str, api_version: str, kind: str, spec: dict[str, Any]
    ) -> dict[str, Any]:
        body = {"apiVersion": api_version, "kind": kind, "spec": spec}
        answer = await self._api.request("POST", path, body=body)
        status: dict[str, Any] = answer.get("status") or {}
        return status
