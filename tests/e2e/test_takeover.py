"""Two replicas of the operator: one leads, the other takes over, and agents hardly notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.poll import until

if TYPE_CHECKING:
    from support.crew import Crew
    from support.kubectl import Kubectl

TASKS = 12
ROLLOUT = "deployment/agentcorps-operator"


def leader(system: Kubectl) -> str:
    """Return the pod that the Lease names."""
    holder: str = system.get("lease/agentcorps-operator")["spec"].get("holderIdentity", "")
    return holder


def endpoint(system: Kubectl) -> list[str]:
    """Return the addresses that the gateway's Service leads to."""
    ends = system.get("endpointslice/agentcorps-gateway")["endpoints"]
    return [address for end in ends for address in end["addresses"]]


def address(system: Kubectl, pod: str) -> str:
    """Return a pod's address."""
    ip: str = system.get(f"pod/{pod}")["status"].get("podIP", "")
    return ip


def follows(system: Kubectl, old: str) -> str:
    """Wait until another pod than `old` leads and the Service leads to it; return its name."""

    def followed() -> str | None:
        new = leader(system)
        if new in {"", old} or not system.run("get", f"pod/{new}").ok:
            return None
        return new if endpoint(system) == [address(system, new)] else None

    return until(followed, "another leader behind the gateway's Service")


def submit(crew: Crew, prefix: str) -> None:
    """Submit a dozen short tasks."""
    for number in range(TASKS):
        crew.submit(f"{prefix}-{number}", {"do": "sleep", "seconds": 0.5})


def outcomes(crew: Crew, prefix: str) -> list[tuple[Any, Any]]:
    """Wait for all tasks of a run; return phase and attempt of each."""
    ended = [crew.ended(f"{prefix}-{number}")["status"] for number in range(TASKS)]
    return [(status["phase"], status["attempt"]) for status in ended]


def test_the_service_leads_to_the_leader_alone(system: Kubectl) -> None:
    """Of two ready replicas, agents reach the one that holds the Lease."""
    ready = system.run("rollout", "status", ROLLOUT, "--timeout=120s")
    assert ready.ok, ready.stderr
    assert system.get(ROLLOUT)["status"]["readyReplicas"] == 2
    assert follows(system, "") == leader(system)


def test_the_standby_takes_over_from_a_killed_leader(pair: Crew, system: Kubectl) -> None:
    """The leader is gone in the middle of work: every Task succeeds in its first attempt."""
    submit(pair, "killed")
    old = leader(system)
    killed = system.run("delete", f"pod/{old}", "--grace-period=0", "--force", "--wait=false")
    assert killed.ok, killed.stderr
    follows(system, old)
    assert outcomes(pair, "killed") == [("Succeeded", 1)] * TASKS
    assert system.run("rollout", "status", ROLLOUT, "--timeout=120s").ok


def test_a_rolling_restart_under_load_fails_no_task(pair: Crew, system: Kubectl) -> None:
    """Both replicas are replaced while tasks run: all succeed, each in its first attempt."""
    submit(pair, "rolled")
    old = leader(system)
    restarted = system.run("rollout", "restart", ROLLOUT)
    assert restarted.ok, restarted.stderr
    finished = system.run("rollout", "status", ROLLOUT, "--timeout=180s")
    assert finished.ok, finished.stderr
    follows(system, old)
    assert outcomes(pair, "rolled") == [("Succeeded", 1)] * TASKS
