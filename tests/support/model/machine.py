"""What a history chooses from, and who chooses: hypothesis, or a number."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from support.model.judge import Broken
from support.model.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MOST: Final = 2**12
NUMBERS: Final = st.integers(0, MOST - 1)
MOVES_PER_HISTORY: Final = 100
MOST_FAULTS: Final = 7
WORK: Final = {
    "routine": 14,
    "agents_turn": 2,
    "agent_turn": 2,
    "create_task": 10,
    "decide": 3,
    "finish_work": 8,
    "pass_message": 4,
    "pass_messages": 4,
    "report": 2,
    "watch": 2,
    "tend": 2,
    "let_time_pass": 4,
    "kubelets": 2,
    "take_over": 1,
    "catch_up": 1,
    "resume": 3,
    "end_deposed": 2,
    "go_on": 1,
    "replace_sick": 1,
}
"""What happens in any history, and how often it is offered."""
FAULTS: Final = (
    "cancel_task",
    "delete_task",
    "edit_task",
    "lose_message",
    "hold_up",
    "lose_next",
    "hold_up_next",
    "cut_watch",
    "pause",
    "cut_off",
    "kill",
    "fail_over",
    "hang",
    "late_report",
    "late_delivery",
    "hang_up",
    "crash",
    "say_goodbye",
    "delete_pod",
)
"""Of these each history has its own selection: few kinds of faults get further than all of them."""
SHARE_OF_FAULTS: Final = 14


def moves(faults: Iterable[str]) -> tuple[str, ...]:
    """What a history with these faults chooses from."""
    calm = [name for name, weight in WORK.items() for _ in range(weight)]
    chosen = sorted(faults)
    each = max(1, SHARE_OF_FAULTS // max(1, len(chosen)))
    return (*calm, *(chosen * each))


class ModelMachine(RuleBasedStateMachine):
    """Any order of moves; when they end, every Task must come to its end."""

    steps = 0
    """Moves made by all machines of this class."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self._moves = moves(())

    @initialize(faults=st.sets(st.sampled_from(FAULTS), max_size=MOST_FAULTS))
    def choose(self, faults: set[str]) -> None:
        """Choose the faults of this history."""
        self._moves = moves(faults)

    @rule(move=NUMBERS, number=NUMBERS)
    def move(self, move: int, number: int) -> None:
        """Make one move."""
        type(self).steps += 1
        make: Callable[[int], None] = getattr(self.world, self._moves[move % len(self._moves)])
        make(number)
        self.world.check()

    def teardown(self) -> None:
        """End calmly; a machine that failed has been told already."""
        try:
            if not self.world.judge.found:
                self.world.calm_down()
        finally:
            self.world.close()


def explore(runs: int) -> int:
    """Let hypothesis run the machine so many times; returns the number of moves made.

    Raises:
        Broken: An invariant does not hold; hypothesis prints the shortest way there that it found.
    """

    class Machine(ModelMachine):
        steps = 0

    bounds = settings(
        max_examples=runs,
        stateful_step_count=MOVES_PER_HISTORY,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Machine, settings=bounds)
    return Machine.steps


def wander(numbers: range, kinds: Sequence[str] = FAULTS) -> int:
    """Run histories by their numbers, several times faster than ``explore``.

    Args:
        numbers: Each is one history, always the same.
        kinds: Faults that may happen in them.

    Returns:
        The number of moves made.

    Raises:
        Broken: An invariant does not hold, in the history that the message names.
    """
    for number in numbers:
        try:
            _wander(Random(number), kinds)  # noqa: S311 - a history, not a secret
        except Broken as error:
            raise Broken(f"history {number}: {error}") from error
    return len(numbers) * MOVES_PER_HISTORY


def _wander(choice: Random, kinds: Sequence[str]) -> None:
    few = min(MOST_FAULTS, len(kinds))
    possible = moves(choice.sample(kinds, choice.randint(min(1, few), few)))
    world = World()
    try:
        for _ in range(MOVES_PER_HISTORY):
            make: Callable[[int], None] = getattr(world, choice.choice(possible))
            make(choice.randrange(MOST))
            world.check()
        world.calm_down()
    finally:
        world.close()
