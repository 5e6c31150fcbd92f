"""Things that die: pods, the operator, a namespace. No Task is lost, none ends twice."""

from collections import Counter
from collections.abc import Callable

from support import objects
from support.crew import TERMINAL, Crew
from support.diary import Diary
from support.door import Door
from support.kubectl import Kubectl
from support.live_agent import pod_token
from support.poll import until

OPERATOR_POD = "app.kubernetes.io/component=operator"
GONE_SECONDS = 180


def test_work_of_a_deleted_pod_goes_back_uncounted(pair: Crew) -> None:
    """A pod deleted mid-task gives its work back: a new attempt, no failure, one terminal state."""
    pair.submit("handed-back", {"do": "hold-once"})
    agent = pair.started("handed-back")["status"]["agentName"]
    with Diary(pair.kubectl, "handed-back") as diary:
        deleted = pair.kubectl.run("delete", f"pod/{agent}", "--wait=false")
        assert deleted.ok, deleted.stderr
        status = pair.ended("handed-back")["status"]
    assert (status["phase"], status["attempt"], status["failures"]) == ("Succeeded", 2, 0)
    assert [phase for phase in diary.phases if phase in TERMINAL] == ["Succeeded"]
    pair.ready("crew", 2)


def test_late_report_of_a_lost_attempt_is_refused(pair: Crew) -> None:
    """After its pod is gone at once, the Task runs again, and nothing more is taken of the old."""
    pair.submit("torn", {"do": "hold-once"})
    before = pair.started("torn")
    agent, uid = before["status"]["agentName"], before["metadata"]["uid"]
    old_instance = before["status"]["agentInstance"]
    old_token = pod_token(pair.kubectl, agent)
    other = next(name for name in pair.agents("crew") if name != agent)
    door = Door.seen_by(pair.kubectl, other, via=other)
    with Diary(pair.kubectl, "torn") as diary:
        killed = pair.kubectl.run(
            "delete", f"pod/{agent}", "--grace-period=0", "--force", "--wait=false"
        )
        assert killed.ok, killed.stderr
        ended = pair.ended("torn")
    status = ended["status"]
    assert (status["phase"], status["attempt"]) == ("Succeeded", 2)
    assert [phase for phase in diary.phases if phase in TERMINAL] == ["Succeeded"]

    assert door.complete(old_token, old_instance, uid, 1).status == 401
    by = status["agentName"]
    living = Door.seen_by(pair.kubectl, by, via=by)
    instance = status["agentInstance"]
    stale = living.complete(pod_token(pair.kubectl, by), instance, uid, 1)
    assert stale.refusal == (409, "StaleAttempt")
    after = pair.task("torn")
    assert after["metadata"]["resourceVersion"] == ended["metadata"]["resourceVersion"]
    pair.ready("crew", 2)


def test_operator_killed_mid_work_loses_nothing(pair: Crew, system: Kubectl) -> None:
    """Agents work on while the operator is dead; its successor takes their results as attempt 1."""
    for number in range(2):
        pair.submit(f"bridged-{number}", {"do": "hold"})
    for number in range(6):
        pair.submit(f"queued-{number}", {"do": "sleep", "seconds": 0.2})
    held = [pair.started(f"bridged-{number}") for number in range(2)]
    leader = system.get("lease/agentcorps-operator")["spec"]["holderIdentity"]
    killed = system.run(
        *("delete", "pod", "-l", OPERATOR_POD, "--grace-period=0", "--force", "--wait=false")
    )
    assert killed.ok, killed.stderr
    for task in held:
        pair.release(task)
    names = [f"bridged-{number}" for number in range(2)] + [f"queued-{n}" for n in range(6)]
    ended = [pair.ended(name) for name in names]
    assert [task["status"]["phase"] for task in ended] == ["Succeeded"] * len(names)
    assert [task["status"]["attempt"] for task in ended] == [1] * len(names)
    begun = Counter(start for agent in pair.agents("crew") for start in pair.starts_of(agent))
    assert {begun[task["metadata"]["uid"], 1] for task in ended} == {1}
    assert system.get("lease/agentcorps-operator")["spec"]["holderIdentity"] != leader


def test_namespace_with_work_in_it_can_be_deleted(
    crew: Crew, cluster: Kubectl, new_namespace: Callable[[], str]
) -> None:
    """Deleting a namespace whose agents work ends all of it; nothing waits for a finalizer."""
    doomed = Crew(cluster.within(new_namespace()), crew.image)
    doomed.prepare()
    doomed.pool("crew", 1)
    doomed.submit("endless", {"do": "hold"})
    doomed.kubectl.create(objects.task("waiting", pool="nobody"))
    doomed.started("endless")
    assert cluster.run("delete", "namespace", doomed.namespace, "--wait=false").ok
    until(
        lambda: not cluster.run("get", "namespace", doomed.namespace).ok,
        "end of the namespace",
        seconds=GONE_SECONDS,
    )
