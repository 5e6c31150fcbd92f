"""The functions of an agent: registered by capability, picked by what a task requires."""

from __future__ import annotations

import dataclasses
import inspect
import json
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import BaseModel, TypeAdapter

from agentcorps.agent.outcome import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_CAPABILITY_CHARS = 63
INPUT_AND_CONTEXT = 2


class Mode(Enum):
    """Where a handler runs."""

    LOOP = "loop"
    THREAD = "thread"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function."""

    capability: str | None
    """None: it takes whatever no other handler takes."""
    function: Callable[..., Any]
    mode: Mode
    takes_context: bool
    input_adapter: TypeAdapter[Any] | None
    """Validates the input; None: the function gets the JSON object as it is."""

    def parse(self, value: dict[str, Any]) -> Any:
        """Turn a task's input into the function's first argument.

        Raises:
            pydantic.ValidationError: The input is not what the function's annotation says.
        """
        if self.input_adapter is None:
            return value
        # From JSON, so that a strict model still takes an ISO date or a list for a tuple.
        return self.input_adapter.validate_json(json.dumps(value))


def make_handler(function: Callable[..., Any], capability: str | None, *, process: bool) -> Handler:
    """Look at a function's signature.

    Raises:
        TypeError: It cannot be called with an input, or with an input and a context; or another
            process could not import it.
        ValueError: The capability is empty or too long.
    """
    if capability is not None:
        check_capability(capability)
    parameters = _positional(function)
    if process:
        if "<locals>" in function.__qualname__ or function.__name__ == "<lambda>":
            raise TypeError(f"{function.__qualname__} must stand at the top of its module")
        mode = Mode.PROCESS
    else:
        mode = Mode.LOOP if inspect.iscoroutinefunction(function) else Mode.THREAD
    return Handler(
        capability=capability,
        function=function,
        mode=mode,
        takes_context=len(parameters) == INPUT_AND_CONTEXT,
        input_adapter=_adapter(function, parameters[0]),
    )


def check_capability(capability: str) -> str:
    """Return a capability that an Agent could declare.

    Raises:
        ValueError: It is empty or too long.
    """
    if not 1 <= len(capability) <= MAX_CAPABILITY_CHARS:
        raise ValueError(f"a capability has 1 to {MAX_CAPABILITY_CHARS} characters")
    return capability


def pick(handlers: Iterable[Handler], requires: Sequence[str]) -> Handler | Failed:
    """Pick the handler for a task; a Failed says why there is none."""
    named = {one.capability: one for one in handlers}
    for capability in requires:
        if capability in named:
            return named[capability]
    if None in named:
        return named[None]
    if not requires and len(named) == 1:
        return next(iter(named.values()))
    known = ", ".join(sorted(name for name in named if name is not None)) or "none"
    return Failed(
        "NoHandler",
        f"this agent has no handler for what the task requires; it has: {known}",
        retryable=False,
    )


def _positional(function: Callable[..., Any]) -> list[str]:
    """Names of the function's parameters."""
    parameters = list(inspect.signature(function).parameters.values())
    usable = all(one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD} for one in parameters)
    if not usable or len(parameters) not in {1, INPUT_AND_CONTEXT}:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(f"{name} must take (input) or (input, ctx)")
    return [one.name for one in parameters]


def _adapter(function: Callable[..., Any], parameter: str) -> TypeAdapter[Any] | None:
    """A validator, if the input is annotated with a pydantic model or a dataclass."""
    # Only this annotation: that of the context may be importable for type checkers alone.
    annotation = inspect.signature(function).parameters[parameter].annotation
    alone = SimpleNamespace(__annotations__={parameter: annotation})
    try:
        hint = get_type_hints(alone, getattr(inspect.unwrap(function), "__globals__", {}))[
            parameter
        ]
    except NameError as error:
        raise TypeError(
            f"the annotation of {parameter!r} cannot be resolved ({error}); "
            "define or import its type at module level"
        ) from error
    if not isinstance(hint, type):
        return None
    if issubclass(hint, BaseModel) or dataclasses.is_dataclass(hint):
        return TypeAdapter(hint)
    return None
