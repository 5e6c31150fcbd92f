"""Daemons that are started once and ended later, by another process.

A process is known by its id, its start time and the boot it lives in, all three written down
at its start. An id alone is reused after a while, and after a reboot at once.
"""

import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Moves itself into the cgroups first, so that whatever the daemon forks is in them as well.
_ENTER_CGROUPS = """
while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done
shift
exec "$@"
"""


@dataclass(frozen=True)
class Identity:
    """What tells one process from every other that had or will have its id.

    Attributes:
        pid: the process id.
        started: start time, in clock ticks after boot (field 22 of ``/proc/PID/stat``).
        boot: the kernel's id of this boot.
    """

    pid: int
    started: int
    boot: str

    def alive(self) -> bool:
        """Tell whether exactly this process still runs."""
        return identify(self.pid) == self

    def write(self, path: Path) -> None:
        """Write it down, whole or not at all."""
        draft = path.with_suffix(".new")
        draft.write_text(f"{self.pid} {self.started} {self.boot}\n")
        draft.replace(path)


def parse_stat(text: str) -> tuple[str, int]:
    """Return state letter and start time from the content of ``/proc/PID/stat``.

    The command name in it is chosen by the process and may hold spaces and brackets; what
    follows its last closing bracket has a fixed form.
    """
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])


def identify(pid: int) -> Identity | None:
    """Return the identity of a running process, or None; one that has ended is not running."""
    try:
        state, started = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    if state in "ZX":
        return None
    return Identity(pid, started, _BOOT_ID.read_text().strip())


def read_identity(path: Path) -> Identity | None:
    """Return the identity that a pid file holds; None if it is missing or not one of ours."""
    try:
        pid, started, boot = path.read_text().split()
        return Identity(int(pid), int(started), boot)
    except (FileNotFoundError, ValueError):
        return None


@dataclass(frozen=True)
class Launcher:
    """Starts a cluster's daemons.

    Attributes:
        run: folder of the pid files.
        logs: folder of the logs.
        cgroups: cgroup folders that the daemons are put into.
        netns: file of the network namespace that they run in; None is the machine's own.
    """

    run: Path
    logs: Path
    cgroups: tuple[Path, ...] = ()
    netns: Path | None = None

    def daemon(self, name: str) -> "Daemon":
        """Return a daemon by its name, started or not."""
        return Daemon(name, self.run / f"{name}.pid", self.logs / f"{name}.log")

    def enter(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs another one inside the cluster's network."""
        return [*(["nsenter", f"--net={self.netns}"] if self.netns else []), *argv]

    def start(self, name: str, argv: Sequence[str], *, path: str | None = None) -> "Daemon":
        """Start a daemon and write its identity down.

        Args:
            name: names the pid file and the log.
            argv: the command.
            path: ``PATH`` of the daemon, if it needs another.

        Raises:
            ClusterError: it ended at once.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        command = self.enter(argv)
        if self.cgroups:
            command = ["sh", "-c", _ENTER_CGROUPS, "sh", *map(str, self.cgroups), "--", *command]
        daemon = self.daemon(name)
        with daemon.log.open("ab") as log:
            # Not a Popen: nobody waits for this child, which outlives its parent.
            pid = os.posix_spawnp(
                command[0],
                command,
                {**os.environ, **({"PATH": path} if path else {})},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                ],
                setsid=True,
            )
        identity = identify(pid)
        if identity is None:
            raise ClusterError(f"{name} ended at once; its log is {daemon.log}")
        identity.write(daemon.pid_file)
        return daemon


@dataclass(frozen=True)
class Daemon:
    """A daemon that was started earlier, perhaps by another process.

    Attributes:
        name: the component's name.
        pid_file: where its identity was written down.
        log: its output.
    """

    name: str
    pid_file: Path
    log: Path

    def identity(self) -> Identity | None:
        """Return what was written down at its start, or None."""
        return read_identity(self.pid_file)

    def alive(self) -> bool:
        """Tell whether it runs."""
        identity = self.identity()
        return identity is not None and identity.alive()

    def stop(self, seconds: float = 10.0) -> None:
        """End it, politely first, and forget it."""
        identity = self.identity()
        if identity is not None:
            end([identity], seconds)
        self.pid_file.unlink(missing_ok=True)


def end(processes: Iterable[Identity], seconds: float) -> None:
    """End processes: TERM, then KILL for those that are still there after the given seconds."""
    left = [one for one in processes if one.alive()]
    for number, wait in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        for one in left:
            _signal(one.pid, number)
        deadline = time.monotonic() + wait
        while (left := [one for one in left if one.alive()]) and time.monotonic() < deadline:
            time.sleep(0.02)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
