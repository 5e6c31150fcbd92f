"""`agentcorps task logs` on real pods: the lines that an agent wrote for one Task."""

from pathlib import Path

from support.cli import Cli
from support.crew import TASK_SECONDS, Crew
from support.poll import until

FIRST, SECOND = "one small step", "another step"


def test_the_log_of_a_task_is_its_own(pair: Crew, cli: Cli) -> None:
    """Each Task's log has what the agent printed for it, and nothing of the Task before it."""
    crew = pair
    for name, line in (("first", FIRST), ("second", SECOND)):
        crew.submit(name, {"do": "say", "line": line})
        crew.ended(name)
    for name, own, other in (("first", FIRST, SECOND), ("second", SECOND, FIRST)):
        said = cli.run("task", "logs", name)
        assert (said.code, said.stderr) == (0, "")
        lines = said.stdout.splitlines()
        assert own in lines
        assert other not in lines
        assert '"event": "task started"' in lines[0]
        assert '"event": "task ended"' in lines[-1]


def test_following_survives_the_death_of_the_container(
    crew: Crew, cli: Cli, tmp_path: Path
) -> None:
    """-f goes on from an attempt whose process dies to the end of the next one, and -p is found."""
    crew.pool("fragile", 1)
    crew.submit("phoenix", {"do": "hold-and-crash-once"}, pool="fragile")
    task = crew.started("phoenix")
    file = tmp_path / "out"
    with file.open("w") as out:
        process = cli.start("task", "logs", "phoenix", "-f", stdout=out)
        until(lambda: "task started" in file.read_text(), "first line")
        crew.release(task)
        assert crew.ended("phoenix")["status"]["phase"] == "Succeeded"
        _, told = process.communicate(timeout=TASK_SECONDS)
    assert process.returncode == 0, told
    starts = [line for line in file.read_text().splitlines() if "task started" in line]
    assert ['"attempt": 1' in starts[0], '"attempt": 2' in starts[-1]] == [True, True]
    assert "phoenix has ended: Succeeded" in told
    first = cli.run("task", "logs", "phoenix", "--attempt", "1")
    assert first.code == 0, first.stderr
    assert '"attempt": 1' in first.stdout
    assert '"attempt": 2' not in first.stdout


def test_a_task_that_does_not_exist_has_no_log(crew: Crew, cli: Cli) -> None:
    """Also with -f: code 3, at once."""
    assert crew.namespace
    assert cli.run("task", "logs", "nobody", "-f").code == 3
