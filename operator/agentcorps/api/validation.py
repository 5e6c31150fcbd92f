"""From JSON to models: what is wrong with an object, said in one line and without its payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from agentcorps.api.agent import Agent
from agentcorps.api.agentpool import AgentPool
from agentcorps.api.task import Task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from agentcorps.api.meta import ApiModel

MAX_PROBLEMS: Final = 5
MAX_KEY_LENGTH: Final = 63

_Model = TypeVar("_Model", bound="ApiModel")

# Types of pydantic's errors in words for people; those absent here already read well.
_TEXTS: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "int_type": "must be an integer",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "string_pattern_mismatch": "must match {pattern}",
}


class InvalidObject(ValueError):
    """An object that does not fit its model.

    Attributes:
        path: Field of the first problem, e.g. `spec.retry.limit`.
        message: All problems, at most MAX_PROBLEMS, in one line; never a value of the object.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def parse_agent(obj: Mapping[str, Any]) -> Agent:
    """Return `obj` as an Agent; see `parse`."""
    return parse(Agent, obj)


def parse_pool(obj: Mapping[str, Any]) -> AgentPool:
    """Return `obj` as an AgentPool; see `parse`."""
    return parse(AgentPool, obj)


def parse_task(obj: Mapping[str, Any]) -> Task:
    """Return `obj` as a Task; see `parse`."""
    return parse(Task, obj)


def parse(
    model: type[_Model],
    obj: Mapping[str, Any],
    *,
    forbid_unknown: bool = False,
) -> _Model:
    """Return `obj` as a model.

    Unknown fields are passed over unless `forbid_unknown`: the API server refuses them in what
    users write, and what it stored may come from another version of the schema.

    Raises:
        InvalidObject: The object does not fit; the message names the fields and never their values.
    """
    try:
        return model.model_validate(
            dict(obj), extra=None if forbid_unknown else "ignore", by_alias=True, by_name=False
        )
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
    raise _invalid(problems)


def _invalid(problems: list[ErrorDetails]) -> InvalidObject:
    lines = [f"{_path(problem['loc'])}: {_text(problem)}" for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"and {len(problems) - MAX_PROBLEMS} more")
    return InvalidObject(_path(problems[0]["loc"]), "; ".join(lines))


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part.isidentifier() and len(part) <= MAX_KEY_LENGTH:
            path += f".{part}"
        elif part != "[key]":
            path += f"[{_key(part)}]"
    return path.removeprefix(".") or "object"


def _key(name: str) -> str:
    clipped = name if len(name) <= MAX_KEY_LENGTH else name[:MAX_KEY_LENGTH] + "…"
    return ascii(clipped) if not clipped.isprintable() else repr(clipped)


def _text(problem: ErrorDetails) -> str:
    template = _TEXTS.get(problem["type"])
    return problem["msg"] if template is None else template.format(**problem.get("ctx", {}))
