"""An agent on which tasks keep failing gets no more of them, even before its status says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.core.quarantine import FAILURES_IN_A_ROW

if TYPE_CHECKING:
    from agentcorps.control.remembered import Remembered
    from agentcorps.core.records import AgentRecord
    from agentcorps.core.state import State


def blame(state: State, remembered: Remembered, agent: AgentRecord) -> None:
    """Note that a task failed on an agent."""
    state.news.agent(agent.key)
    if remembered.failed(agent) >= FAILURES_IN_A_ROW:
        state.suspend(agent.key)


def praise(state: State, remembered: Remembered, agent: AgentRecord) -> None:
    """Note that a task succeeded on an agent: if its status is not written yet, all is forgiven."""
    state.news.agent(agent.key)
    remembered.succeeded(agent)
    state.suspend(agent.key, lasts=False)
