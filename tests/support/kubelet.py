"""What kubelet and garbage collector do, where there is neither: agents come and go with pods."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Self

from agentcorps.agent import Agent
from support.kubectl import Kubectl
from support.live_agent import LiveAgent, pod_token


class Kubelet:
    """Runs an agent for each pod, and removes the pods whose Agent is gone, when asked to sync."""

    def __init__(
        self,
        kubectl: Kubectl,
        gateway_url: str,
        folder: Path,
        worker: Callable[[], Agent],
        starts: Callable[[str], bool] = bool,
    ) -> None:
        """Prepare.

        Args:
            kubectl: For the namespace of the pods.
            gateway_url: Where agents call.
            folder: Gets what they print.
            worker: Makes an agent.
            starts: Tells of a pod, by its name, whether its agent starts; all do unless told.
        """
        self._kubectl = kubectl
        self._gateway_url = gateway_url
        self._folder = folder
        self._worker = worker
        self._starts = starts
        self._uids: dict[str, str] = {}
        self.running: dict[str, LiveAgent] = {}

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all agents."""
        for agent in self.running.values():
            agent.kill()

    def sync(self) -> None:
        """Start the agents of new pods; end those of deleted Agents, and their pods."""
        pods, agents = self._uids_of("pods"), self._uids_of("agents")
        for name in pods.keys() - agents.keys():
            self._kubectl.run("delete", "pod", name, "--grace-period=0", "--force")
        wanted = {name: uid for name, uid in pods.items() if name in agents and self._starts(name)}
        # A pod may have gone, and another of its name come, between two looks.
        for name in [name for name, uid in self._uids.items() if wanted.get(name) != uid]:
            self.running.pop(name).kill()
            del self._uids[name]
        for name in wanted.keys() - self._uids.keys():
            try:
                self._start(name)
            except AssertionError:
                if self._uids_of("pods").get(name) == wanted[name]:
                    raise
                continue  # it has gone since it was listed
            self._uids[name] = wanted[name]

    def _uids_of(self, plural: str) -> dict[str, str]:
        items = self._kubectl.run("get", plural, "-o", "json").json()["items"]
        return {item["metadata"]["name"]: item["metadata"]["uid"] for item in items}

    def _start(self, pod: str) -> None:
        secret = self._kubectl.get("secret/agentcorps-gateway-tls")
        authority = base64.b64decode(secret["data"]["ca.crt"]).decode()
        token = pod_token(self._kubectl, pod)
        agent = LiveAgent(self._worker(), self._gateway_url, authority, token, self._folder)
        agent.__enter__()
        self.running[pod] = agent
