"""kubectl, as a user of the cluster would call it."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

Object = dict[str, Any]


class DemoError(Exception):
    """The demo cannot go on; the message is one line that says what to do."""


def need_kubectl() -> None:
    """Refuse to start without kubectl.

    Raises:
        DemoError: It is not there.
    """
    if shutil.which("kubectl") is None:
        raise DemoError("kubectl is not on PATH: start the demo with `make run`")


def kubectl(*arguments: str) -> str:
    """Run kubectl and return what it prints.

    Raises:
        DemoError: It failed.
    """
    done = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise DemoError(f"kubectl {arguments[0]}: {said[-1]}")
    return done.stdout


def read(*arguments: str) -> Object:
    """Return an object, or a list of them, as kubectl get shows it."""
    found: Object = json.loads(kubectl("get", *arguments, "--output", "json"))
    return found
