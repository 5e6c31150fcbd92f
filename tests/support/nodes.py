"""What the cluster does around a stage: kubelets run the agents of pods, and restart operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.watcher import PODS

if TYPE_CHECKING:
    from support.stage import Stage


class Nodes:
    """Brings a stage's agents in line with its pods whenever the stage waits for something.

    A new pod gets an agent. The agent of a pod that is gone dies at once, whatever it works on: who
    deletes the pod of a working agent is found out by the Task that loses its attempt.
    """

    def __init__(self, stage: Stage, slots: int) -> None:
        """Take care of a stage whose agents have so many slots."""
        self._stage = stage
        self._slots = slots
        self._uids: dict[str, str] = {}
        self._looking = False
        stage.on_wait = self.look

    def look(self) -> None:
        """Start what should run, and end what should not."""
        if self._looking:  # to start an agent is to wait, too
            return
        self._looking = True
        try:
            for replica in self._stage.replicas:
                if not replica.process.running:
                    replica.process.launch()
            self._follow()
        finally:
            self._looking = False

    def _follow(self) -> None:
        pods = self._pods()
        for name in [name for name, uid in self._uids.items() if pods.get(name) != uid]:
            self._stage.agents.pop(name).kill()
            del self._uids[name]
        for name in pods.keys() - self._uids.keys():
            self._start(name, pods[name])

    def _start(self, name: str, uid: str) -> None:
        try:
            self._stage.agent_of(name, self._slots)  # does not wait: it may have gone
        except AssertionError:
            if self._pods().get(name) == uid:
                raise
            return  # it has gone since it was listed
        self._uids[name] = uid

    def _pods(self) -> dict[str, str]:
        found = self._stage.api.get(PODS.format(self._stage.namespace))["items"]
        return {str(pod["metadata"]["name"]): str(pod["metadata"]["uid"]) for pod in found}
