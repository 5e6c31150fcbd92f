"""Handlers: what may be registered, which one is picked, and what becomes of input and result."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from agentcorps.agent import Agent, TaskError
from agentcorps.agent.handlers import Handler, Mode, make_handler, pick
from agentcorps.agent.outcome import Completed, Failed, of_error, of_invalid_input, of_result

if TYPE_CHECKING:
    from agentcorps.agent import Context

SECRET = "correct-horse-battery-staple"


class Text(BaseModel):
    """An input."""

    model_config = ConfigDict(strict=True)

    text: str
    when: dt.date | None = None

    @field_validator("text")
    @classmethod
    def _no_secret(cls, value: str) -> str:
        if value == SECRET:
            raise ValueError(f"{value} must not be sent")
        return value


@dataclass
class Point:
    """An output."""

    x: int
    y: float


def on_dict(given: dict[str, Any]) -> None:
    """Takes the object as it is."""


def on_model(given: Text, ctx: Context) -> None:
    """Takes a model; the context's type is known to type checkers only."""


async def on_loop(given: Any) -> None:
    """Runs on the loop."""


def handler(capability: str | None) -> Handler:
    """A handler for a capability."""
    return make_handler(on_dict, capability, process=False)


def failure(error: pytest.ExceptionInfo[ValidationError]) -> Failed:
    """What is reported of an invalid input."""
    return of_invalid_input(error.value)


def test_mode_follows_the_function() -> None:
    """Async functions run on the loop, others in a thread, and in a process when asked for."""
    assert make_handler(on_loop, None, process=False).mode is Mode.LOOP
    assert make_handler(on_dict, None, process=False).mode is Mode.THREAD
    assert make_handler(on_dict, None, process=True).mode is Mode.PROCESS


def test_context_is_optional() -> None:
    """A function of one parameter gets the input, one of two gets the context as well."""
    assert not make_handler(on_dict, None, process=False).takes_context
    assert make_handler(on_model, None, process=False).takes_context


@pytest.mark.parametrize(
    "function",
    [lambda: 1, lambda a, b, c: (a, b, c), lambda *a: a, lambda a, *, ctx: (a, ctx)],
)
def test_other_signatures_are_refused(function: Any) -> None:
    """A function that cannot be called with (input) or (input, ctx) is refused when registered."""
    with pytest.raises(TypeError, match=r"must take \(input\) or \(input, ctx\)"):
        make_handler(function, None, process=False)


def test_inner_function_cannot_run_in_a_process() -> None:
    """A function that another process cannot import is refused when registered, not when run."""

    def inner(given: dict[str, Any]) -> None:
        """Not at module level."""

    with pytest.raises(TypeError, match="top of its module"):
        make_handler(inner, None, process=True)


@pytest.mark.parametrize("capability", ["", "x" * 64])
def test_capability_length(capability: str) -> None:
    """A capability that no Agent could declare is refused."""
    with pytest.raises(ValueError, match="1 to 63 characters"):
        handler(capability)
    with pytest.raises(ValueError, match="1 to 63 characters"):
        Agent(capabilities=[capability])


def test_one_handler_per_capability() -> None:
    """Registering a second function for a capability is an error, also for the default."""
    agent = Agent()
    agent.task("a")(on_dict)
    agent.task()(on_dict)
    with pytest.raises(ValueError, match="'a' already"):
        agent.task("a")(on_dict)
    with pytest.raises(ValueError, match="'any task' already"):
        agent.task()(on_dict)


@pytest.mark.parametrize("slots", [0, -1, 101])
def test_slots_are_bounded(slots: int) -> None:
    """An agent has 1 to 100 slots."""
    with pytest.raises(ValueError, match="1 to 100"):
        Agent(slots)


def test_picks_what_the_task_requires() -> None:
    """The handler of a required capability wins over the default one."""
    one, two, default = handler("one"), handler("two"), handler(None)
    assert pick([one, two, default], ["two"]) is two
    assert pick([one, two, default], ["gpu", "one"]) is one


def test_default_takes_the_rest() -> None:
    """Without a handler for what is required, the default one takes it."""
    one, default = handler("one"), handler(None)
    assert pick([one, default], ["three"]) is default
    assert pick([one, default], []) is default


def test_single_handler_takes_a_task_without_requirements() -> None:
    """One handler alone takes tasks that require nothing, but not those that require others."""
    one = handler("one")
    assert pick([one], []) is one
    assert isinstance(pick([one], ["two"]), Failed)


def test_no_handler_is_final() -> None:
    """A task that no handler takes fails with NoHandler, and is not tried again."""
    assert pick([handler("one"), handler("two")], []) == Failed(
        "NoHandler",
        "this agent has no handler for what the task requires; it has: one, two",
        retryable=False,
    )


def test_model_is_validated_from_json() -> None:
    """A strict model takes a date as the string that JSON can hold."""
    parsed = make_handler(on_model, None, process=False).parse({"text": "a", "when": "2026-01-02"})
    assert parsed == Text(text="a", when=dt.date(2026, 1, 2))


def test_invalid_input_names_the_field_and_not_the_value() -> None:
    """An invalid input fails for good with the field's path; the value stays out of the message."""
    with pytest.raises(ValidationError) as error:
        make_handler(on_model, None, process=False).parse({"text": [SECRET]})
    assert failure(error) == Failed(
        "InputInvalid", "input.text: Input should be a valid string", retryable=False
    )


def test_text_of_an_authors_validator_is_not_sent() -> None:
    """A model's own validator may quote the value, so its text is replaced."""
    with pytest.raises(ValidationError) as error:
        make_handler(on_model, None, process=False).parse({"text": SECRET})
    assert failure(error).message == "input.text: not accepted by the agent"


@pytest.mark.parametrize(
    ("returned", "result"),
    [
        (None, None),
        ({"a": [1, 2.5, "x"]}, {"a": [1, 2.5, "x"]}),
        (Point(1, 2.0), {"x": 1, "y": 2.0}),
        (Text(text="a"), {"text": "a", "when": None}),
        ({"at": dt.date(2026, 1, 2), "of": (1, 2)}, {"at": "2026-01-02", "of": [1, 2]}),
    ],
)
def test_results(returned: object, result: object) -> None:
    """JSON values, models, dataclasses and dates are results."""
    assert of_result(returned) == Completed(result)


@pytest.mark.parametrize(
    "returned", [float("nan"), [float("inf")], "\ud800", object(), {"f": lambda: None}]
)
def test_what_json_cannot_hold_is_no_result(returned: object) -> None:
    """A value without a JSON form fails the attempt for good instead of being bent."""
    ended = of_result(returned)
    assert isinstance(ended, Failed)
    assert ended.reason == "ResultInvalid"
    assert not ended.retryable


def test_endless_result_is_no_result() -> None:
    """A result that contains itself fails the attempt and nothing else."""
    endless: list[Any] = []
    endless.append(endless)
    assert isinstance(of_result(endless), Failed)


def test_task_error_is_told_as_it_is() -> None:
    """TaskError's message, reason and retryable reach the Task."""
    told = of_error(TaskError("no such page", reason="NotFound", retryable=False))
    assert told == Failed("NotFound", "no such page", retryable=False)


def test_other_errors_are_told_without_their_text() -> None:
    """The text of any other exception may quote the input, so only its type and place are told."""
    with pytest.raises(ValueError, match=SECRET) as caught:
        int(SECRET)
    told = of_error(caught.value)
    assert SECRET not in told.message
    assert told.message.startswith("ValueError at test_agent_handlers.py:")
    assert told.retryable


@pytest.mark.parametrize("reason", ["", "lower", "With-Dash", "X" * 65])
def test_reason_must_be_a_word(reason: str) -> None:
    """A reason that the protocol does not allow is refused where it is written."""
    with pytest.raises(ValueError, match="CamelCase"):
        TaskError("x", reason=reason)


@given(st.text(st.characters(), max_size=3000))
def test_any_message_can_be_sent(message: str) -> None:
    """Whatever an author's message holds, what is sent fits the protocol and is valid Unicode."""
    sent = of_error(TaskError(message)).message
    assert len(sent) <= 1024
    sent.encode()
