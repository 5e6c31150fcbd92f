"""`agentcorps task logs` on real pods: the lines that an agent wrote for one Task."""

from support.cli import Cli, ended
from support.crew import Crew

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


def test_following_survives_the_death_of_the_container(crew: Crew, cli: Cli) -> None:
    """-f from before the start over an attempt whose process dies, to the end of the second one."""
    crew.pool("fragile", 1)
    process = cli.start("task", "logs", "phoenix", "-f")
    assert ended(process).code == 3
    crew.submit("phoenix", {"do": "crash-once"}, pool="fragile", retry={"limit": 2})
    process = cli.start("task", "logs", "phoenix", "-f")
    assert crew.ended("phoenix")["status"]["phase"] == "Succeeded"
    said = ended(process)
    assert said.code == 0, said.stderr
    starts = [line for line in said.stdout.splitlines() if "task started" in line]
    assert ['"attempt": 1' in starts[0], '"attempt": 2' in starts[-1]] == [True, True]
    assert "phoenix has ended: Succeeded" in said.stderr
    first = cli.run("task", "logs", "phoenix", "--attempt", "1")
    assert first.code == 0, first.stderr
    assert '"attempt": 1' in first.stdout
    assert '"attempt": 2' not in first.stdout
