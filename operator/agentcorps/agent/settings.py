"""What the operator tells an agent through its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agentcorps.agent.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_FILE = "/var/run/secrets/agentcorps.dev/token"  # noqa: S105 -- a path
GRACE_SECONDS = 25.0
"""Below the 30 seconds that Kubernetes gives a pod by default, with time left for a goodbye."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the gateway is and how to prove who is calling."""

    gateway_url: str
    ca: str | None
    """PEM certificates to trust; None: those of the system."""
    token_file: Path
    grace_seconds: float
    """Time for running tasks to finish after SIGTERM."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings.

        Args:
            environ: Variables to read; the process's own by default.

        Raises:
            SettingsError: A variable is missing or cannot be used.
        """
        values = os.environ if environ is None else environ
        return cls(
            gateway_url=_url(values.get("AGENTCORPS_GATEWAY_URL", "")),
            ca=values.get("AGENTCORPS_CA") or None,
            token_file=Path(values.get("AGENTCORPS_TOKEN_FILE") or TOKEN_FILE),
            grace_seconds=_seconds(values.get("AGENTCORPS_GRACE_SECONDS", "")),
        )


def _url(text: str) -> str:
    name = "AGENTCORPS_GATEWAY_URL"
    if not text:
        raise SettingsError(f"{name} is not set; the operator sets it in agent pods")
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname:
        raise SettingsError(f"{name} must be an https:// address")
    return text.rstrip("/")


def _seconds(text: str) -> float:
    if not text:
        return GRACE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise SettingsError("AGENTCORPS_GRACE_SECONDS must be a number of seconds, 0 or more")
    return seconds
