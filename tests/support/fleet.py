"""A small cluster in memory: sensible records, and a State that they are observed into."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agentcorps.api.meta import AgentPhase, TaskPhase
from agentcorps.core.podspec import template_hash
from agentcorps.core.records import (
    AgentRecord,
    Key,
    Now,
    PodRecord,
    PoolRecord,
    Session,
    TaskRecord,
)
from agentcorps.core.state import State
from support.strategies import a_task

NAMESPACE = "team"
EPOCH = 1_800_000_000.0
POOL = Key(NAMESPACE, "crew")
TEMPLATE: dict[str, Any] = {"spec": {"containers": [{"name": "agent", "image": "agent:1"}]}}
AGENT_SPEC: dict[str, Any] = {"capabilities": ["sum"], "slots": 1, "podTemplate": TEMPLATE}


class Fleet:
    """A State, its clock, and the changes that happen in a cluster."""

    def __init__(self) -> None:
        self.state = State()
        self.seconds = 1_000.0
        self._version = 0

    @property
    def now(self) -> Now:
        """This instant; the wall clock runs along with the monotonic one."""
        return Now(self.seconds, EPOCH + self.seconds)

    def version(self) -> int:
        """Return a resource version that was not used before."""
        self._version += 1
        return self._version

    def pool(self, replicas: int = 1, **fields: Any) -> PoolRecord:
        """Observe the pool `crew`."""
        known = self.state.pools.get(POOL)
        version = self.version()
        base = known or PoolRecord(
            uid="pool-uid",
            key=POOL,
            resource_version=version,
            generation=1,
            created=self.now.wall,
            replicas=replicas,
            drain_timeout_seconds=300,
            template_hash=template_hash(AGENT_SPEC),
            template_labels={},
            template_annotations={},
            agent_spec=AGENT_SPEC,
        )
        record = replace(base, replicas=replicas, resource_version=version, **fields)
        self.state.observe_pool(record)
        return record

    def other_pool(self, like: PoolRecord, key: Key, **fields: Any) -> PoolRecord:
        """Observe another pool, of the same template."""
        version = self.version()
        record = replace(like, key=key, uid=f"{key.name}-uid", resource_version=version, **fields)
        self.state.observe_pool(record)
        return record

    def agent(self, name: str = "crew-0", **fields: Any) -> AgentRecord:
        """Observe a new Agent, of the pool `crew` unless the fields say otherwise."""
        version = self.version()
        values: dict[str, Any] = {
            "uid": f"agent-{name}-{version}",
            "key": Key(NAMESPACE, name),
            "resource_version": version,
            "generation": 1,
            "created": self.now.wall,
            "pool": POOL.name,
            "pool_uid": "pool-uid",
            "capabilities": frozenset({"sum"}),
            "slots": 1,
            "heartbeat_seconds": 5,
            "failure_threshold": 3,
            "startup_seconds": 120,
            "template_hash": template_hash(AGENT_SPEC),
            "pod_template": TEMPLATE,
        }
        record = AgentRecord(**(values | fields))
        self.state.observe_agent(record)
        return record

    def change_agent(self, key: Key, **fields: Any) -> AgentRecord:
        """Observe another version of an Agent."""
        version = self.version()
        record = replace(self.state.agents[key], resource_version=version, **fields)
        self.state.observe_agent(record)
        return record

    def drain(self, key: Key) -> AgentRecord:
        """Observe the written Draining phase of an Agent."""
        return self.change_agent(key, phase=AgentPhase.DRAINING, draining_since=self.now.wall)

    def pod(self, agent: AgentRecord, **fields: Any) -> PodRecord:
        """Observe a new pod of an Agent."""
        version = self.version()
        values: dict[str, Any] = {
            "uid": f"pod-{agent.key.name}-{version}",
            "key": agent.key,
            "resource_version": version,
            "agent_name": agent.key.name,
            "owner_uid": agent.uid,
            "created": self.now.wall,
            "phase": "Running",
            "ready": True,
            "deleting": False,
            "terminated": False,
            "template_hash": agent.template_hash,
        }
        record = PodRecord(**(values | fields))
        self.state.observe_pod(record)
        return record

    def change_pod(self, key: Key, **fields: Any) -> PodRecord:
        """Observe another version of a pod."""
        version = self.version()
        record = replace(self.state.pods[key], resource_version=version, **fields)
        self.state.observe_pod(record)
        return record

    def hello(self, key: Key, instance: str = "instance-1", **fields: Any) -> Session:
        """Let the process in the pod of that name say hello."""
        values: dict[str, Any] = {
            "agent": key,
            "pod_uid": self.state.pods[key].uid,
            "instance": instance,
            "slots": 1,
            "capabilities": frozenset({"sum"}),
            "last_seen": self.seconds,
        }
        session = Session(**(values | fields))
        self.state.open_session(session)
        return session

    def ready_agent(self, name: str = "crew-0", **fields: Any) -> AgentRecord:
        """Observe an Agent with a pod whose process has said hello just now."""
        agent = self.agent(name, **fields)
        self.pod(agent)
        self.hello(agent.key)
        return agent

    def task(self, agent: Key | None = None, uid: str = "task-1", **fields: Any) -> TaskRecord:
        """Observe a Task; with an agent, one that runs on it."""
        values: dict[str, Any] = {
            "uid": uid,
            "key": Key(NAMESPACE, uid),
            "resource_version": self.version(),
            "created": self.now.wall,
            "pool": POOL.name,
        }
        if agent is not None:
            session = self.state.sessions.get(agent)
            values |= {
                "phase": TaskPhase.RUNNING,
                "attempt": 1,
                "agent_name": agent.name,
                "pod_uid": self.state.pods[agent].uid,
                "agent_instance": "instance-1" if session is None else session.instance,
                "started_at": self.now.wall,
            }
        record = a_task(**(values | fields))
        self.state.observe_task(record, self.now)
        return record
