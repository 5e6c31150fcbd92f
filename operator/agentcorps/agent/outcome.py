"""How an attempt ended, in JSON terms."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from agentcorps.agent.errors import TaskError
from agentcorps.agent.text import sendable

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_FAULTS = 5
AUTHORS_OWN = ("value_error", "assertion_error")
"""pydantic's names for faults found by a model's own validators; their text may quote the value."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The handler returned; ``result`` is a JSON value."""

    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt did not work out."""

    reason: str
    message: str
    retryable: bool = True

    def __post_init__(self) -> None:
        """Keep the message sendable."""
        object.__setattr__(self, "message", sendable(self.message))


Outcome = Completed | Failed


def of_result(value: object) -> Outcome:
    """Turn what a handler returned into a JSON value: models, dataclasses and dates too."""
    try:
        result = to_jsonable_python(value, by_alias=True)
        # NaN and lone surrogates pass the line above, and no JSON document can hold them.
        json.dumps(result, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        return Failed(
            "ResultInvalid",
            f"the handler returned a {type(value).__name__} that is not a JSON value "
            f"({type(error).__name__})",
            retryable=False,
        )
    return Completed(result)


def of_error(error: BaseException) -> Failed:
    """Describe an exception without its text, which may quote the input; TaskError's is meant."""
    if isinstance(error, TaskError):
        return Failed(error.reason, error.message, error.retryable)
    return Failed("AgentError", f"{type(error).__name__}{_where(error)}; see the pod's log")


def of_invalid_input(error: ValidationError) -> Failed:
    """Say which fields of the input are wrong, and what they should be."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = []
    for fault in faults[:MAX_FAULTS]:
        path = ".".join(("input", *map(str, fault["loc"])))
        own = fault["type"] in AUTHORS_OWN
        told.append(f"{path}: {'not accepted by the agent' if own else fault['msg']}")
    if len(faults) > MAX_FAULTS:
        told.append(f"and {len(faults) - MAX_FAULTS} more")
    return Failed("InputInvalid", "; ".join(told), retryable=False)


def _where(error: BaseException) -> str:
    """The line that raised: ``at summarize.py:12 in split``."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    last = frames[-1]
    return f" at {PurePath(last.filename).name}:{last.lineno} in {last.name}"
