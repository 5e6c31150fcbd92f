"""What the steps over agents and pools decide from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.state import State
    from agentcorps.ports import Clock


class Basis(NamedTuple):
    """What was observed, what no object tells, and the time."""

    state: State
    remembered: Remembered
    clock: Clock
