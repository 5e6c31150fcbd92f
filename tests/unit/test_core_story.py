"""What comes after an attempt, in words that people can act on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from agentcorps.api.meta import TaskPhase
from agentcorps.core import lifecycle
from agentcorps.core.conditions import timestamp
from agentcorps.core.story import last_attempt, next_step
from support.strategies import NOW, a_seat, a_task, bound

if TYPE_CHECKING:
    from agentcorps.core.records import TaskRecord

RUNNING = bound(a_task(), a_seat())


def _after(
    reason: str, *, counted: bool = True, crashed: bool = False, **fields: Any
) -> TaskRecord:
    task = replace(RUNNING, **fields)
    return lifecycle.requeue(
        task, reason, "secret-of-the-agent", counted=counted, now=NOW, crashed=crashed
    )


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (
            _after("AgentLost"),
            "attempt 2 follows as soon as an agent is free (1 of 2 retries are spent)",
        ),
        (
            _after("Timeout"),
            f"attempt 2 follows not before {timestamp(NOW.wall + 5)} (1 of 2 retries are spent)",
        ),
        (
            _after("Evicted", counted=False),
            "attempt 2 follows as soon as an agent is free (0 of 2 retries are spent)",
        ),
        (
            _after("AgentError", failures=2),
            "the Task has ended as Failed: no retry is left (3 of 2 retries are spent)",
        ),
        (
            _after("Timeout", retry_limit=0),
            "the Task has ended as TimedOut: it is executed at most once (retry.limit is 0)",
        ),
        (
            _after("Evicted", counted=False, retry_limit=0),
            "the Task has ended as Failed: it is executed at most once (retry.limit is 0)",
        ),
        (
            _after("Timeout", retry_reasons=frozenset({"AgentLost"})),
            "the Task has ended as TimedOut: retry.reasons does not name Timeout",
        ),
        (
            _after("AgentLost", crashed=True, crashes=2, retry_limit=100),
            "the Task has ended as Failed: 3 of its attempts ended with the death of a container",
        ),
        (
            lifecycle.fail(RUNNING, "InputInvalid", "no", NOW),
            "the Task has ended as Failed: the agent said that trying again would not help",
        ),
        (
            lifecycle.fail(RUNNING, "ResultRefused", "the Secret is another's", NOW),
            (
                "the Task has ended as Failed: its result cannot be kept where spec.resultTo asks"
                " for it"
            ),
        ),
        (
            lifecycle.refuse(_after("AgentLost"), "InputInvalid", "no JSON", NOW),
            "the Task has ended as Failed",
        ),
        (
            lifecycle.expire(_after("Timeout"), "not bound within 5 s", NOW),
            "the Task has ended as TimedOut",
        ),
        (lifecycle.succeed(RUNNING, NOW), "the Task has ended as Succeeded"),
        (lifecycle.refuse(a_task(), "InputTooLarge", "no", NOW), "the Task has ended as Failed"),
        (RUNNING, "agent crew-0 works on attempt 1"),
    ],
)
def test_what_comes_next_is_told(after: TaskRecord, told: str) -> None:
    """Each end of an attempt leads to one sentence: when it goes on, or why it does not."""
    assert next_step(after) == told


def test_the_story_of_an_attempt_keeps_what_the_agent_said_to_itself() -> None:
    """Number, agent, reason, cause and next step are told; an agent's words are not."""
    told = last_attempt(_after("AgentError"), "OutOfCheese")
    assert told.startswith(
        "attempt 1 on agent crew-0 ended with AgentError: OutOfCheese; attempt 2"
    )
    assert "secret" not in told


def test_a_poisonous_attempt_keeps_its_own_reason() -> None:
    """The Task ends as PoisonTask, its last attempt as the loss that it was."""
    after = _after("AgentLost", crashed=True, crashes=2)
    assert (after.phase, after.reason) == (TaskPhase.FAILED, "PoisonTask")
    assert after.attempts[-1].reason == "AgentLost"
