"""The local cluster's daemons are known by more than an id."""

import subprocess
from pathlib import Path

from cluster.process import Identity, Launcher, end, identify, parse_stat, read_identity


def test_command_name_cannot_forge_the_start_time() -> None:
    """A command name with spaces and brackets does not shift the fields of /proc/PID/stat."""
    fields = ["S", *(str(number) for number in range(4, 60))]
    assert parse_stat(f"7 (a) Z 1 (b) {' '.join(fields)}") == ("S", 22)


def test_recycled_pid_is_somebody_else() -> None:
    """A process with the id written down but another start time or boot is not ours."""
    child = subprocess.Popen(["sleep", "60"])
    try:
        ours = identify(child.pid)
        assert ours is not None
        assert ours.alive()
        assert not Identity(ours.pid, ours.started - 1, ours.boot).alive()
        assert not Identity(ours.pid, ours.started, "another-boot").alive()
        end([Identity(ours.pid, ours.started - 1, ours.boot)], seconds=5)
        assert ours.alive()
    finally:
        child.kill()
        child.wait()


def test_ended_process_that_nobody_reaped_is_not_alive() -> None:
    """A zombie counts as ended, so that waiting for it ends."""
    child = subprocess.Popen(["sleep", "60"])
    identity = identify(child.pid)
    assert identity is not None
    end([identity], seconds=5)
    assert not identity.alive()
    child.wait()


def test_end_kills_what_ignores_the_polite_signal() -> None:
    """A process that ignores TERM is killed."""
    command = 'trap "" TERM; echo ready; while :; do sleep 1; done'
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        identity = identify(child.pid)
        assert identity is not None
        end([identity], seconds=0.1)
        assert not identity.alive()


def test_unreadable_pid_file_names_nobody(tmp_path: Path) -> None:
    """A missing, empty or foreign pid file leads to no process, so none is ever killed for it."""
    path = tmp_path / "x.pid"
    assert read_identity(path) is None
    for content in ("", "1", "1 2 3 4", "one two three"):
        path.write_text(content)
        assert read_identity(path) is None


def test_daemon_outlives_its_launcher_object(tmp_path: Path) -> None:
    """What a launcher started is found again, and ended, through its pid file alone."""
    Launcher(tmp_path / "run", tmp_path / "logs").start("nap", ["sleep", "60"])
    again = Launcher(tmp_path / "run", tmp_path / "logs").daemon("nap")
    assert again.alive()
    again.stop()
    assert not again.alive()
    assert not again.pid_file.exists()
