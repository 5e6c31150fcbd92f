"""Metrics of external.metrics.k8s.io, by the API server's aggregator: ``ports.ExternalMetrics``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from agentcorps.core.amounts import NANO, amount
from agentcorps.ports import ClusterError, MetricError, NotFound, Refused

if TYPE_CHECKING:
    from agentcorps.adapters.connection import ApiConnection

_PATH: Final = "/apis/external.metrics.k8s.io/v1beta1/namespaces/{}/{}"
_LONGEST_SECONDS: Final = 60.0
_MAX_REQUESTS: Final = 8
"""At a time: a slow server of metrics leaves most of the connection to the operator's work."""
_FORBIDDEN: Final = 403


class KubeExternalMetrics:
    """Asks with the operator's own rights, as the HorizontalPodAutoscaler does."""

    def __init__(self, api: ApiConnection) -> None:
        self._api = api
        self._room = asyncio.Semaphore(_MAX_REQUESTS)

    async def total(self, namespace: str, metric: str, selector: str) -> float:
        """Return the sum over all series that a label selector matches.

        The caller bounds the time.

        Raises:
            MetricError: There is none, or it cannot be had.
        """
        path = _PATH.format(namespace, quote(metric, safe=""))
        params = {"labelSelector": selector} if selector else None
        try:
            async with self._room:
                answer = await self._api.request(
                    "GET", path, params=params, timeout=_LONGEST_SECONDS
                )
        except NotFound:
            raise MetricError(
                f"the cluster knows no metric {metric}, or no external.metrics.k8s.io at all"
            ) from None
        except Refused as error:
            if error.status != _FORBIDDEN:
                raise MetricError(f"{error.reason}: {error.message}") from None
            raise MetricError(
                "the operator may not read metrics of external.metrics.k8s.io"
                " (scaling.externalMetrics of its chart)"
            ) from None
        except ClusterError as error:
            raise MetricError(str(error)) from None
        return _total(metric, answer)


def _total(metric: str, answer: Any) -> float:
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise MetricError(f"the answer for metric {metric} is no ExternalMetricValueList")
    if not items:
        raise MetricError(f"metric {metric} has no series that the selector matches")
    try:
        return sum(amount(item["value"]) for item in items) / NANO
    except (KeyError, TypeError, ValueError):
        raise MetricError(f"metric {metric} has a value that is no quantity") from None
