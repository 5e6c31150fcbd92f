"""The SDK that runs inside agent pods: register functions, run them on the tasks that arrive.

from agentcorps.agent import Agent, Context

agent = Agent(slots=2)

@agent.task("summarize")
async def summarize(input: Text, ctx: Context) -> Summary: ...

agent.run()
"""

from agentcorps.agent.app import Agent
from agentcorps.agent.context import Context
from agentcorps.agent.errors import TaskError

__all__ = ["Agent", "Context", "TaskError"]
