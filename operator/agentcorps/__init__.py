"""agentcorps: a Kubernetes operator for fleets of agents, with the SDK those agents use."""

__version__ = "0.1.0"
