"""What kstatus (Flux, Argo CD, Helm 4) makes of a status."""

from __future__ import annotations

from typing import Any

from agentcorps.core.conditions import find


def kstatus(status: dict[str, Any]) -> str:
    """Return what kstatus makes of conditions: the first that holds of them decides."""
    for condition in status["conditions"]:
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return "InProgress"
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return "Failed"
    return "Current" if find(status, "Ready")["status"] == "True" else "InProgress"
