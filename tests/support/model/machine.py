"""The state machine that hypothesis drives, and how long it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from support.model.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NUMBERS: Final = st.integers(0, 2**12)
STEPS_PER_RUN: Final = 100
WORK: Final = {
    "routine": 10,
    "agents_turn": 2,
    "agent_turn": 2,
    "create_task": 4,
    "decide": 3,
    "finish_work": 4,
    "pass_message": 4,
    "pass_messages": 4,
    "report": 2,
    "watch": 2,
    "tend": 2,
    "let_time_pass": 4,
    "kubelets": 2,
    "take_over": 2,
    "catch_up": 2,
    "resume": 1,
    "end_deposed": 1,
}
"""What happens in any history, and how often it is offered."""
FAULTS: Final = (
    "cancel_task",
    "delete_task",
    "edit_task",
    "lose_message",
    "hold_up",
    "cut_watch",
    "pause",
    "cut_off",
    "kill",
    "hang_up",
    "crash",
    "say_goodbye",
    "delete_pod",
)
"""Of these each history has its own selection: few kinds of faults get further than all of them."""
SHARE_OF_FAULTS: Final = 10


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

    @initialize(faults=st.sets(st.sampled_from(FAULTS), max_size=5))
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


def explore(runs: int, *, number: int = 0, shrink: bool = True) -> int:
    """Run the machine so many times; returns the number of moves made.

    Raises:
        Broken: An invariant does not hold (with the moves that led there).
    """

    class Machine(ModelMachine):
        steps = 0

    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    bounds = settings(
        max_examples=runs,
        stateful_step_count=STEPS_PER_RUN,
        database=None,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(Machine), settings=bounds)
    return Machine.steps
