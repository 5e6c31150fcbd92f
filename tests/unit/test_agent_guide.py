"""The guide for authors: what it shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import agentcorps
from agentcorps.agent import Agent
from support.fake_gateway import delivery, fake_gateway, until
from support.running_agent import running

GUIDE = Path(agentcorps.__file__).parents[2] / "docs/guides/write-an-agent.md"


async def test_example_of_the_guide_works() -> None:
    """The guide's program does the guide's task, and refuses an empty text as it says."""
    code = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    program: dict[str, Any] = {"__name__": "app"}
    exec(compile(code, "app.py", "exec"), program)  # noqa: S102 -- the guide's own text
    agent = program["agent"]
    assert isinstance(agent, Agent)
    text = "One sentence. Another one. A third one."
    async with fake_gateway() as gateway, running(agent, gateway):
        gateway.sessions.push(
            delivery("a", requires=["summarize"], input={"text": text, "sentences": 2}),
            delivery("b", requires=["summarize"], input={"text": " "}),
        )
        await until(lambda: len(gateway.sessions.reports) == 2)
    assert gateway.sessions.reports["uid-a", 1][0].model_dump()["result"] == {
        "summary": ["One sentence", "Another one"]
    }
    assert gateway.sessions.reports["uid-b", 1][0].model_dump()["reason"] == "EmptyText"
