"""The HTTPS server that agents talk to: authenticates, parses, and hands over to the sessions."""

from agentcorps.gateway.app import build_app
from agentcorps.gateway.server import Listener, serve, tls_context
from agentcorps.gateway.sessions import Sessions

__all__ = ["Listener", "Sessions", "build_app", "serve", "tls_context"]
