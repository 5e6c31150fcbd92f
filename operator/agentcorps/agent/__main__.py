"""``python -m agentcorps.agent run MODULE:ATTR``, where the command is not installed."""

from agentcorps.agent.cli import run

if __name__ == "__main__":
    run()
