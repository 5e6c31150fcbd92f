"""Limits that a Task leaves to its pool: read, filled in, and told in its status.

What is own to a Task goes before its pool's ``tasks.defaults``, and these before the built-in
values, each field for itself. A binding fixes what of the pool's holds: a change of the pool does
not touch an attempt that runs, and the deletion of the pool changes nothing either.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.meta import RetryReason, TaskPhase
from agentcorps.api.task import (
    DEFAULT_BACKOFF_SECONDS,
    DEFAULT_MAX_BACKOFF_SECONDS,
    DEFAULT_RETRY_LIMIT,
    DEFAULT_TIMEOUT_SECONDS,
)
from agentcorps.core.fields import optional, section, words
from agentcorps.core.records import UNSET, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentcorps.core.records import PoolRecord, TaskRecord

_NAMES: Final = ("timeoutSeconds", "retry", "ttlSecondsAfterFinished")
_ALL_REASONS: Final[frozenset[str]] = frozenset(RetryReason)


def limits_of(source: Mapping[str, Any], path: str) -> Limits:
    """Read the limits that an object sets: a Task's spec, a pool's defaults, status.poolDefaults.

    Raises:
        Malformed: One of them cannot be read.
    """
    if all(source.get(name) is None for name in _NAMES):
        return UNSET
    retry = section(source, "retry", f"{path}.retry")
    return Limits(
        timeout_seconds=optional(source, "timeoutSeconds", f"{path}.timeoutSeconds", at_least=1),
        retry_limit=optional(retry, "limit", f"{path}.retry.limit"),
        backoff_seconds=optional(retry, "backoffSeconds", f"{path}.retry.backoffSeconds"),
        max_backoff_seconds=optional(retry, "maxBackoffSeconds", f"{path}.retry.maxBackoffSeconds"),
        retry_reasons=None
        if retry.get("reasons") is None
        else words(retry, "reasons", f"{path}.retry.reasons"),
        ttl_seconds=optional(source, "ttlSecondsAfterFinished", f"{path}.ttlSecondsAfterFinished"),
    )


def to_api(limits: Limits) -> dict[str, Any]:
    """Return limits as ``status.poolDefaults`` has them; what is not set is left out."""
    reasons = limits.retry_reasons
    retry = {
        "limit": limits.retry_limit,
        "backoffSeconds": limits.backoff_seconds,
        "maxBackoffSeconds": limits.max_backoff_seconds,
        "reasons": None if reasons is None else sorted(reasons),
    }
    told = {
        "timeoutSeconds": limits.timeout_seconds,
        "retry": _without_nulls(retry) or None,
        "ttlSecondsAfterFinished": limits.ttl_seconds,
    }
    return _without_nulls(told)


def effective(own: Limits, inherited: Limits) -> dict[str, Any]:
    """Return the values that hold, as fields of a ``TaskRecord``."""
    timeout = _first(own.timeout_seconds, inherited.timeout_seconds, DEFAULT_TIMEOUT_SECONDS)
    limit = _first(own.retry_limit, inherited.retry_limit, DEFAULT_RETRY_LIMIT)
    backoff = _first(own.backoff_seconds, inherited.backoff_seconds, DEFAULT_BACKOFF_SECONDS)
    longest = own.max_backoff_seconds
    if longest is None:
        other = _first(None, inherited.max_backoff_seconds, DEFAULT_MAX_BACKOFF_SECONDS)
        longest = max(other, own.backoff_seconds or 0)
    ttl = own.ttl_seconds if own.ttl_seconds is not None else inherited.ttl_seconds
    reasons = own.retry_reasons if own.retry_reasons is not None else inherited.retry_reasons
    return {
        "timeout_seconds": timeout,
        "retry_limit": limit,
        "backoff_seconds": backoff,
        "max_backoff_seconds": longest,
        "retry_reasons": _ALL_REASONS if reasons is None else reasons,
        "ttl_seconds": ttl,
    }


def adopt(record: TaskRecord, pool: PoolRecord | None) -> TaskRecord:
    """Return a waiting Task with what its pool has for it now.

    A Task that runs or has ended keeps what it had, and so does one whose pool is not there.
    """
    if pool is None or pool.invalid or record.phase is not TaskPhase.QUEUED:
        return record
    inherited = _lacking(record.own, pool.task_defaults)
    if inherited == record.inherited:
        return record
    return replace(record, inherited=inherited, **effective(record.own, inherited))


def _lacking(own: Limits, defaults: Limits) -> Limits:
    """The defaults for what is not own."""
    if UNSET in (own, defaults):
        return defaults if own == UNSET else UNSET
    taken = {
        name: getattr(defaults, name)
        for name in (field.name for field in fields(Limits))
        if getattr(own, name) is None
    }
    return Limits(**taken)


def _first(own: int | None, inherited: int | None, built_in: int) -> int:
    if own is not None:
        return own
    return built_in if inherited is None else inherited


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
