"""Every phase that a Task is seen in, by a watch of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from support.kubectl import Kubectl

END_SECONDS = 30
PHASES = '{.status.phase}{"\\n"}'


class Diary:
    """Watches a Task with kubectl while the block runs; what comes after it is not seen."""

    def __init__(self, kubectl: Kubectl, task: str) -> None:
        """Prepare; `with` watches."""
        self._kubectl = kubectl
        self._task = task
        self.phases: list[str] = []
        """Phases in their order, each change once; complete after the block."""

    def __enter__(self) -> Self:
        """Start watching."""
        kubectl = self._kubectl
        where = ["--kubeconfig", str(kubectl.kubeconfig), "--namespace", str(kubectl.namespace)]
        what = ["get", f"task/{self._task}", "--watch", "-o", f"jsonpath={PHASES}"]
        self._process = subprocess.Popen(
            [kubectl.binary, *where, *what], stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching and note what was seen."""
        self._process.terminate()
        seen = self._process.communicate(timeout=END_SECONDS)[0]
        for phase in seen.split():
            if not self.phases or self.phases[-1] != phase:
                self.phases.append(phase)
