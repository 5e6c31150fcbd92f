"""Kubernetes objects as the command line handles them: decoded JSON, with a few questions."""

from __future__ import annotations

from typing import Any

from agentcorps.api.meta import TaskPhase
from agentcorps.cli.errors import InputError

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON."""


def status_of(item: Object) -> Object:
    """Return an object's status; empty while nobody wrote one."""
    status = item.get("status")
    return status if isinstance(status, dict) else {}


def phase_of(task: Object) -> TaskPhase:
    """Return a Task's phase; Queued while nobody wrote one.

    Raises:
        InputError: The phase is of a newer version.
    """
    try:
        return TaskPhase(status_of(task).get("phase", TaskPhase.QUEUED))
    except ValueError as error:
        name = task["metadata"]["name"]
        raise InputError(
            f"task {name!r} is in a phase that this version of the command does not know: update it"
        ) from error


def is_finished(task: Object) -> bool:
    """Tell whether a Task is in a final phase."""
    return phase_of(task).is_terminal


def has_started(task: Object) -> bool:
    """Tell whether a Task runs or has already ended."""
    return phase_of(task) is not TaskPhase.QUEUED
