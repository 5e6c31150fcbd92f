"""The installed command line, run as a user runs it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from support.kubectl import Answer

PROGRAM = Path(sys.executable).with_name("agentcorps")
CALL_TIMEOUT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Cli:
    """`agentcorps` on one cluster and in one namespace."""

    kubeconfig: Path
    namespace: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command with its flags where kubectl users put them: after the subcommand."""
        where = ["--kubeconfig", str(self.kubeconfig), "-n", self.namespace]
        return [str(PROGRAM), *arguments, *where]

    def run(self, *arguments: str, stdin: str | None = None) -> Answer:
        """Run the command and return what it says."""
        return call(self.command(*arguments), stdin=stdin)

    def start(
        self, *arguments: str, stdout: int | TextIO = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Start the command and return it while it runs."""
        return subprocess.Popen(
            self.command(*arguments), stdout=stdout, stderr=subprocess.PIPE, text=True
        )


def call(
    command: list[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None
) -> Answer:
    """Run a command without a terminal; `env` adds to the environment."""
    done = subprocess.run(
        command,
        input=stdin or "",
        capture_output=True,
        text=True,
        check=False,
        timeout=CALL_TIMEOUT_SECONDS,
        env={**os.environ, **(env or {})},
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def ended(process: subprocess.Popen[str]) -> Answer:
    """Wait for a started command and return what it said."""
    stdout, stderr = process.communicate(timeout=CALL_TIMEOUT_SECONDS)
    return Answer(process.returncode, stdout, stderr)
