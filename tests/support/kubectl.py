"""kubectl for tests: documents in as Python data, answers out as Python data."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]

# A guard against a server that never answers, far above what any call takes.
CALL_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call of kubectl gave back."""

    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Tell whether the call succeeded."""
        return self.code == 0

    def json(self) -> Any:
        """Return stdout as JSON.

        Raises:
            AssertionError: The call failed; the message is what kubectl said.
        """
        if not self.ok:
            raise AssertionError(self.stderr)
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl on one cluster and, mostly, in one namespace.

    Attributes:
        kubeconfig: The cluster's kubeconfig.
        namespace: Namespace of every call; None leaves it to the call.
        binary: The program.
    """

    kubeconfig: Path
    namespace: str | None = None
    binary: str = "kubectl"

    def within(self, namespace: str | None) -> "Kubectl":
        """Return the same in another namespace."""
        return replace(self, namespace=namespace)

    def run(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run kubectl and return what it says, whether it succeeded or not."""
        command = [self.binary, "--kubeconfig", str(self.kubeconfig)]
        if self.namespace is not None:
            command += ["--namespace", self.namespace]
        done = subprocess.run(
            [*command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=CALL_TIMEOUT_SECONDS,
        )
        return Answer(done.returncode, done.stdout, done.stderr.strip())

    def send(self, verb: str, *documents: Document, options: tuple[str, ...] = ()) -> Answer:
        """Run `kubectl VERB -f -` (create, apply, replace, delete) on documents."""
        text = "\n---\n".join(json.dumps(document) for document in documents)
        return self.run(verb, *options, "-f", "-", stdin=text)

    def create(self, document: Document) -> dict[str, Any]:
        """Create an object that is good, and return it as the API server answers it."""
        created: dict[str, Any] = self.send("create", document, options=("-o", "json")).json()
        return created

    def get(self, resource: str, *arguments: str) -> dict[str, Any]:
        """Return one object (`kind/name`) or a list (`kind`) as JSON."""
        found: dict[str, Any] = self.run("get", resource, *arguments, "-o", "json").json()
        return found

    def patch(self, resource: str, change: Document | Sequence[Document], *options: str) -> Answer:
        """Patch an object: a mapping is a merge patch, a sequence a JSON patch."""
        kind = "merge" if isinstance(change, Mapping) else "json"
        return self.run("patch", resource, f"--type={kind}", "-p", json.dumps(change), *options)


def put_status(kubectl: Kubectl, name: str, **status: Any) -> None:
    """Write a Task's status as the operator would."""
    change: dict[str, Any] = {"status": {"observedGeneration": 1, **status}}
    done = kubectl.patch(f"tasks/{name}", change, "--subresource=status")
    assert done.ok, done.stderr
