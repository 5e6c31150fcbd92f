"""How the three kinds are called: the one place for plurals and short names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from agentcorps.api.meta import API_VERSION, GROUP


@dataclass(frozen=True, slots=True)
class Kind:
    """Names of one custom resource."""

    kind: str
    singular: str
    plural: str
    short_name: str

    @property
    def api_version(self) -> str:
        """Group and version, as `apiVersion` has them."""
        return API_VERSION

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


AGENT: Final = Kind("Agent", "agent", "agents", "ag")
AGENT_POOL: Final = Kind("AgentPool", "agentpool", "agentpools", "agp")
TASK: Final = Kind("Task", "task", "tasks", "agt")
KINDS: Final = (AGENT, AGENT_POOL, TASK)
