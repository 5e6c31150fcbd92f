"""Knocking at the gateway with tokens of one's choice, from a pod inside the cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from support.kubectl import Kubectl

PROGRAM = Path(__file__).with_name("gateway_call.py")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the gateway."""

    status: int
    body: Any

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and title of a problem."""
        return self.status, str((self.body or {}).get("title", ""))


@dataclass(frozen=True, slots=True)
class Door:
    """The gateway as one pod sees it."""

    kubectl: Kubectl
    pod: str
    url: str
    ca: str

    @classmethod
    def seen_by(cls, kubectl: Kubectl, agent_pod: str, *, via: str) -> Door:
        """Take what the operator told an agent's pod, and go there from the pod `via`."""
        container = kubectl.get(f"pod/{agent_pod}")["spec"]["containers"][0]
        told = {one["name"]: one.get("value", "") for one in container["env"]}
        return cls(kubectl, via, told["AGENTCORPS_GATEWAY_URL"], told["AGENTCORPS_CA"])

    def knock(self, path: str, token: str, body: Json | None = None, method: str = "POST") -> Reply:
        """Call the gateway and return its answer."""
        call = {"url": self.url, "ca": self.ca, "method": method, "path": path}
        asked = call | {"token": token, "body": body}
        program = PROGRAM.read_text(encoding="utf-8")
        answer = self.kubectl.run(
            "exec", "-i", self.pod, "--", "python3", "-c", program, stdin=json.dumps(asked)
        )
        said = answer.json()
        return Reply(said["status"], said["body"])

    def hello(self, token: str, instance: str) -> Reply:
        """Say hello."""
        body = {"protocolVersion": 1, "instance": instance, "slots": 1, "capabilities": []}
        return self.knock("/v1/hello", token, body)

    def complete(self, token: str, instance: str, uid: str, attempt: int) -> Reply:
        """Report an attempt as done."""
        body = {"instance": instance, "result": {"forged": True}}
        return self.knock(f"/v1/tasks/{uid}/{attempt}/complete", token, body)
