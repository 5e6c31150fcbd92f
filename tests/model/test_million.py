"""`make model`: a million moves through histories that differ from day to day."""

from datetime import UTC, datetime

import pytest

from support.model.errors import errors_fail
from support.model.machine import MOVES_PER_HISTORY, explore, wander

MOVES = 1_000_000
RUNS_OF_HYPOTHESIS = 200

__all__ = ["errors_fail"]
pytestmark = [pytest.mark.usefixtures("errors_fail"), pytest.mark.timeout(3600)]


def test_a_million_moves_keep_the_invariants() -> None:
    """Whatever happens in whichever order: I1 and I3 hold, verdicts are true, every Task ends."""
    histories = MOVES // MOVES_PER_HISTORY
    first = datetime.now(UTC).toordinal() * histories
    assert wander(range(first, first + histories)) >= MOVES


def test_hypothesis_finds_nothing_either() -> None:
    """Histories chosen by hypothesis, which would also show the shortest way to a fault."""
    assert explore(RUNS_OF_HYPOTHESIS) > RUNS_OF_HYPOTHESIS
