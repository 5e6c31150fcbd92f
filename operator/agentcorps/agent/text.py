"""Texts for people, as the protocol can carry them."""

from __future__ import annotations

from agentcorps.api.protocol import MAX_MESSAGE_CHARS


def sendable(text: str) -> str:
    """Cut a text to the longest message and replace lone surrogates, which JSON cannot hold."""
    if len(text) > MAX_MESSAGE_CHARS:
        text = text[: MAX_MESSAGE_CHARS - 1] + "…"
    return text.encode(errors="replace").decode()
