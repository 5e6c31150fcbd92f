"""The HTTPS server that agents talk to: authenticates, parses, and hands over to the use cases."""

from agentcorps.gateway.app import build_app
from agentcorps.gateway.calls import AgentCalls
from agentcorps.gateway.server import Listener, serve, tls_context

__all__ = ["AgentCalls", "Listener", "build_app", "serve", "tls_context"]
