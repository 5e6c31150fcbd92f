"""Replicas and agents of the model, and the calm in which every history ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentcorps.ports import Kind, PodIdentity
from support.control_room import POOL, ControlRoom
from support.model.ground import Ground, pick
from support.model.network import Way
from support.model.process import Process
from support.model.replica import LEASE_SECONDS, Replica

if TYPE_CHECKING:
    from agentcorps.core.records import Key

REPLICAS = 2
MOST_QUEUED = 6
"""Fewer than there may be Tasks at a time: now and then one is refused."""
SLOTS = (1, 3)
"""Of the agents: one entry for each."""
PAUSES = (0.1, 1.0, 4.0, 6.0, 11.0, 16.0, 35.0)
CALM_ROUNDS = 400
STEP_NAMES = ("assign", "recover", "create", "monitor")


class World(Ground):
    """The whole model: the ground with its replicas and agents, and the calm in the end."""

    def __init__(self) -> None:
        super().__init__()
        seed = ControlRoom(self.cluster, clock=self.clock)
        seed.add_pool(tasks={"maxQueued": MOST_QUEUED})
        for number, slots in enumerate(SLOTS):
            seed.add_agent(f"{POOL}-{number}", slots=slots)
        self.replicas = [self._new_replica() for _ in range(REPLICAS)]
        self.kubelets()
        self.take_over(0)
        self.catch_up(0)

    # Replicas

    def decide(self, number: int) -> None:
        """A leader decides about tasks."""
        replica = pick(self._leaders(), number)
        if replica is not None:
            replica.step("assign")

    def routine(self, number: int) -> None:
        """A moment without a fault: somebody leads, news arrive, agents call, work gets on."""
        number, rounds = divmod(number, 3)
        number, steps = divmod(number, len(STEP_NAMES))
        if number % 2:
            self.take_over(number)
            self.catch_up(number)
        for _ in range(rounds + 1):
            for replica in self._running():
                self._observe_all(replica)
            for replica in self._leaders():
                for name in STEP_NAMES[: 1 + steps]:
                    replica.step(name)
            self.pass_messages(1)
            self.agents_turn(1)
            self.pass_messages(2)

    def tend(self, number: int) -> None:
        """A leader runs a step of another loop."""
        number, step = divmod(number, 3)
        replica = pick(self._leaders(), number)
        if replica is not None:
            replica.step(STEP_NAMES[1 + step])

    def pause(self, number: int) -> None:
        """SIGSTOP to a replica."""
        replica = pick(self._running(), number)
        if replica is not None:
            replica.pause()

    def resume(self, number: int) -> None:
        """SIGCONT to a replica."""
        replica = pick([one for one in self.replicas if one.paused], number)
        if replica is not None:
            replica.resume()
            self.loop.settle()

    def cut_off(self, number: int) -> None:
        """The Lease is out of a replica's reach, or within it again."""
        replica = pick(self.replicas, number)
        if replica is not None:
            replica.cut_off = not replica.cut_off

    def kill(self, number: int) -> None:
        """SIGKILL to a replica; the kubelet starts another."""
        place = number % len(self.replicas)
        self._replace(place)

    def end_deposed(self, _: int) -> None:
        """Whoever lost the Lease notices, and ends."""
        for place, replica in enumerate(self.replicas):
            if replica.led and not replica.term.leading and replica.runs:
                self._replace(place)

    def take_over(self, number: int) -> None:
        """A standby takes a Lease that is free or has run out."""
        free = self.lease.holder is None
        if not free and self.clock.seconds - self.lease.renewed < LEASE_SECONDS:
            return
        replica = pick([one for one in self._running() if not one.led], number)
        if replica is not None:
            replica.take(self.lease)

    def catch_up(self, number: int) -> None:
        """Who took the Lease lists everything, and begins."""
        fresh = [one for one in self._running() if one.led and not one.duty_began]
        replica = pick(fresh, number)
        if replica is not None:
            replica.catch_up()
            self.loop.settle()

    def fail_over(self, number: int) -> None:
        """The leader is paused, or cannot renew, until another has taken over."""
        leader = self.lease.holder
        number, held_up = divmod(number, 3)
        if held_up:
            self.network.trap(Way.FROM_GATEWAY, slow=True)
            self.routine(number)
        if leader is not None and leader.runs:
            leader.cut_off = True
            if number % 2:
                leader.pause()
        self.let_time_pass(PAUSES.index(LEASE_SECONDS + 1))
        self.take_over(number)
        self.catch_up(number)

    def _replace(self, place: int) -> None:
        old = self.replicas[place]
        old.kill()
        for process in self.processes.values():
            if process.session is not None and process.session.replica is old:
                process.hang_up()
            for work in process.works.values():
                if work.call is not None and work.call.replica is old:
                    work.call.open = False
                    work.call = None
        self.judge.found.extend(old.link.faults)
        self.replicas[place] = self._new_replica()
        self.loop.settle()

    def _new_replica(self) -> Replica:
        return Replica(self.cluster, self.network, self.loop)

    # Agents

    def agent_turn(self, number: int) -> None:
        """An agent makes its next session call."""
        number, where = divmod(number, len(self.replicas))
        process = pick(self._processes(), number)
        if process is not None:
            process.turn(self.replicas[where])

    def agents_turn(self, number: int) -> None:
        """Every agent calls the replica that the Service names, and reports what is done."""
        target = self.lease.holder if number % 3 else pick(self.replicas, number)
        for process in self._processes():
            if target is not None and not target.dead:
                self._act(process, target)

    def _act(self, process: Process, replica: Replica) -> None:
        process.turn(replica)
        for work in list(process.works.values()):
            process.report(work, replica)

    def finish_work(self, number: int) -> None:
        """The work on an attempt is done, well or not."""
        number, how = divmod(number, 5)
        works = [(p, w) for p in self._processes() for w in p.works.values() if w.outcome is None]
        found = pick(works, number)
        if found is not None:
            found[0].finish(found[1], good=how < 3, retryable=how != 4)

    def report(self, number: int) -> None:
        """An outcome is sent (again)."""
        number, where = divmod(number, len(self.replicas))
        found = pick([(p, w) for p in self._processes() for w in p.works.values()], number)
        if found is not None:
            found[0].report(found[1], self.replicas[where])

    def hang_up(self, number: int) -> None:
        """An agent gives up a call."""
        process = pick(self._processes(), number)
        if process is not None:
            process.hang_up()
            self.loop.settle()

    def hang(self, number: int) -> None:
        """An agent makes no calls for now, though it works on."""
        process = pick(self._processes(), number)
        if process is not None:
            process.hangs = True
            self.hang_up(number)

    def go_on(self, _: int) -> None:
        """Agents that hung make calls again: first they send what is done."""
        for process in self.processes.values():
            process.hangs = False
            if self.lease.holder is not None:
                for work in list(process.works.values()):
                    process.report(work, self.lease.holder)

    def late_report(self, number: int) -> None:
        """An agent hangs until its work has timed out and is done elsewhere; then it reports."""
        process = pick([one for one in self._processes() if one.working], number)
        if process is None:
            return
        process.hangs = True
        process.hang_up()
        for work in process.works.values():
            if work.outcome is None:
                process.finish(work, good=bool(number % 4))
        self.loop.settle()
        self.let_time_pass(PAUSES.index(6.0))
        for _ in range(3):
            self.routine(number)
            self.let_time_pass(PAUSES.index(1.0))
        self.go_on(number)

    def late_delivery(self, number: int) -> None:
        """An answer is held up until another leads, and the agent has reported to that one."""
        self.create_task(number)
        self.network.trap(Way.FROM_GATEWAY, slow=True)
        self.routine(number)
        self.fail_over(3 * number)
        for process in self._processes():
            for work in process.works.values():
                if work.outcome is None:
                    process.finish(work, good=True)
        self.go_on(number)
        self.pass_messages(3)
        for message in self.network.passable():
            self._let(message, arrive=True)

    def crash(self, number: int) -> None:
        """The process of an agent dies."""
        process = pick(self._processes(), number)
        if process is not None:
            process.die()
            self.loop.settle()

    def say_goodbye(self, number: int) -> None:
        """The process of an agent has to end."""
        process = pick(self._processes(), number)
        if process is not None:
            process.leave()
            self.loop.settle()

    def delete_pod(self, number: int) -> None:
        """Somebody deletes a pod."""
        pods = [(key, pod) for (kind, key), pod in self.cluster.objects.items() if kind is Kind.POD]
        found = pick(pods, number)
        if found is not None:
            key, pod = found
            _ = self.loop.begin(self.cluster.delete(Kind.POD, key, uid=pod["metadata"]["uid"]))

    def kubelets(self, _: int = 0) -> None:
        """Pods that are being deleted end, processes that are missing start."""
        for (kind, key), pod in list(self.cluster.objects.items()):
            if kind is Kind.POD:
                self._tend_pod(key, pod)
        self.loop.settle()

    def replace_sick(self, _: int = 0) -> None:
        """Agents in quarantine are made anew, as their pool would."""
        for (kind, key), agent in list(self.cluster.objects.items()):
            conditions = agent.get("status", {}).get("conditions", ())
            sick = any(one["type"] == "Healthy" and one["status"] == "False" for one in conditions)
            if kind is Kind.AGENT and sick:
                self._make_anew(key, agent)
        self.loop.settle()

    def _make_anew(self, key: Key, agent: dict[str, Any]) -> None:
        process = self.processes.get(key.name)
        if process is not None:
            process.die()
        if (Kind.POD, key) in self.cluster.objects:
            self.cluster.remove(Kind.POD, key)
        self.cluster.remove(Kind.AGENT, key)
        kept = ("namespace", "name", "labels", "ownerReferences")
        metadata = {name: agent["metadata"][name] for name in kept}
        fresh = {**agent, "metadata": metadata, "status": {"observedGeneration": -1}}
        self.cluster.put(Kind.AGENT, fresh)

    def _tend_pod(self, key: Key, pod: dict[str, Any]) -> None:
        process = self.processes.get(key.name)
        mine = process is not None and process.identity.pod_uid == pod["metadata"]["uid"]
        if process is not None and process.hangs:
            return  # its node is out of reach
        if "deletionTimestamp" in pod["metadata"]:
            if process is not None and mine:
                process.die()
            self.cluster.remove(Kind.POD, key)
        elif process is None or not mine or not process.alive:
            self._names += 1
            agent = self.cluster.objects.get((Kind.AGENT, key))
            if agent is None:
                return
            self.processes[key.name] = Process(
                PodIdentity(key, pod["metadata"]["uid"]),
                f"instance-{self._names}",
                agent["spec"]["slots"],
                (self.loop, self.network, self.judge),
            )

    # Time

    def let_time_pass(self, number: int) -> None:
        """Time passes; whoever runs and holds the Lease renews it in time."""
        left = pick(PAUSES, number) or 0.0
        while left > 0:
            step = min(left, 2.0)
            left -= step
            self.clock.advance(step)
            for replica in self.replicas:
                replica.renew(self.lease)
            self.loop.settle()

    # The end

    def calm_down(self) -> None:
        """The faults stop; within bounds, every Task ends.

        Raises:
            Broken: A Task does not end, or an invariant does not hold.
        """
        for replica in self.replicas:
            replica.cut_off = False
            if replica.paused:
                replica.resume()
        self.go_on(0)
        for number in range(CALM_ROUNDS):
            if not self.judge.unfinished():
                break
            self._calm_round(number)
            self.check()
        else:
            states = {uid: self.judge._status[uid] for uid in self.judge.unfinished()}
            self.judge.blame(f"did not end in {CALM_ROUNDS} rounds: {states}")
        self.check()

    def _calm_round(self, number: int) -> None:
        self.end_deposed(0)
        self.take_over(0)
        self.catch_up(0)
        self.replace_sick()
        self.kubelets()
        for replica in self._running():
            self._observe_all(replica)
        for replica in self._leaders():
            for name in STEP_NAMES:
                replica.step(name)
        for process in self._processes():
            if process.session is not None and process.session.replica is not self.lease.holder:
                process.hang_up()
            for work in process.works.values():
                if work.outcome is None:
                    process.finish(work, good=True)
        self.agents_turn(1)
        self.network.calm()
        self.pass_messages(3)
        self.let_time_pass(1 + number % 2)
