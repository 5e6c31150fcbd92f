"""Simulated agents in a process of their own: real protocol, real tokens, work of no time.

The process also plays the kubelet: it watches the operator's pods, has a token made for each one
that runs, and lets an agent live for as long as its pod does.
"""

import asyncio
import random
import resource
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from perf.bench.client import Client, Json
from perf.bench.line import Line

POLL_SECONDS = 30
HELLOS_AT_A_TIME = 40
"""A crowd that arrives at once would measure handshakes."""
FIRST_PAUSE, LAST_PAUSE = 0.2, 2.0
LABEL = "agentcorps.dev/agent"
OK = 200
FINAL = frozenset({200, 403, 404, 409, 413, 422})
"""Answers to a report after which an agent forgets the result."""


@dataclass
class Tally:
    """What happened, by the machine's monotonic clock."""

    ready: set[str] = field(default_factory=set)
    delivered: dict[str, float] = field(default_factory=dict)
    """By name of the Task: when an agent had it first."""
    accepted: dict[str, int] = field(default_factory=dict)
    """By UID: the attempt whose result the gateway took."""
    doubles: int = 0
    """Tasks of which it took two."""
    last: float = 0.0
    """When the last result was taken."""
    answers: Counter[str] = field(default_factory=Counter)

    def took(self, uid: str, attempt: int) -> None:
        """The gateway has stored a result."""
        before = self.accepted.setdefault(uid, attempt)
        self.doubles += before != attempt
        self.last = time.monotonic()


@dataclass(frozen=True)
class Gateway:
    """Where agents call, and whom they trust there."""

    host: str
    port: int
    tls: ssl.SSLContext

    @classmethod
    def of(cls, url: str, authority: str) -> "Gateway":
        """Read what the operator wrote into a pod."""
        parts = urlsplit(url)
        context = ssl.create_default_context(cadata=authority)
        return cls(parts.hostname or "", parts.port or 443, context)


class LoadAgent:
    """One agent with one slot: takes a task, has done it, reports it, takes the next."""

    def __init__(self, pod: str, gateway: Gateway, token: str, tally: Tally) -> None:
        """Prepare; ``live`` runs it."""
        self._pod = pod
        self._gateway = gateway
        self._instance = uuid4().hex
        self._headers = (
            f"Host: {gateway.host}:{gateway.port}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\n"
        ).encode()
        self._tally = tally
        self._line: Line | None = None
        self._unreported: dict[tuple[str, int], bytes] = {}
        self._seen: set[tuple[str, int]] = set()
        # Agents of a real fleet did not start in the same second.
        self._wait = random.uniform(1, POLL_SECONDS)  # noqa: S311 - a spread, not a secret

    async def live(self, room: asyncio.Semaphore) -> None:
        """Serve until cancelled; a lost connection is made again."""
        pause = FIRST_PAUSE
        try:
            while True:
                try:
                    async with room:
                        greeted = await self._hello()
                    while greeted:
                        pause = FIRST_PAUSE
                        greeted = await self._turn()
                except OSError:
                    self._tally.answers["lost"] += 1
                self._hang_up()
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause = min(LAST_PAUSE, pause * 2)
        finally:
            self._hang_up()

    async def _hello(self) -> bool:
        body = {"protocolVersion": 1, "instance": self._instance, "slots": 1}
        status, _ = await self._post("/v1/hello", body | {"running": self._running()})
        if status == OK:
            self._tally.ready.add(self._pod)
        return status == OK

    async def _turn(self) -> bool:
        """Report what is to be reported, else ask for work; False when a hello is due."""
        for key in list(self._unreported):
            if not await self._report(key):
                return False
        body = {"instance": self._instance, "free": 1, "wait": self._wait, "running": []}
        self._wait = POLL_SECONDS
        status, answer = await self._post("/v1/tasks/next", body)
        if status == OK:
            self._take(orjson.loads(answer)["tasks"])
        return status in {OK, 204}

    def _take(self, tasks: list[Json]) -> None:
        now = time.monotonic()
        for task in tasks:
            key = (task["uid"], task["attempt"])
            self._tally.delivered.setdefault(task["name"], now)
            if key not in self._seen:
                self._seen.add(key)
                self._unreported[key] = orjson.dumps(
                    {"instance": self._instance, "result": {"echo": task["input"]}}
                )

    async def _report(self, key: tuple[str, int]) -> bool:
        uid, attempt = key
        path = f"/v1/tasks/{uid}/{attempt}/complete"
        status, _ = await self._post(path, self._unreported[key])
        if status in FINAL:
            del self._unreported[key]
        if status == OK:
            self._tally.took(uid, attempt)
        return status in FINAL

    async def _post(self, path: str, body: dict[str, Any] | bytes) -> tuple[int, bytes]:
        if self._line is None:
            where = self._gateway
            self._line = await Line.dial(where.host, where.port, where.tls)
        head = b"POST %b HTTP/1.1\r\n%b" % (path.encode(), self._headers)
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        status, answer = await self._line.post(head, data)
        self._tally.answers[f"{path.rpartition('/')[2]} {status}"] += 1
        return status, answer

    def _running(self) -> list[Json]:
        return [{"uid": uid, "attempt": attempt} for uid, attempt in self._unreported]

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.hang_up()
        self._line = None


class Crowd:
    """The agents of all pods of a namespace."""

    def __init__(self, client: Client, namespace: str, group: asyncio.TaskGroup) -> None:
        """Prepare; ``follow`` runs it, with the agents in the group."""
        self.tally = Tally()
        self._group = group
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}"
        self._room = asyncio.Semaphore(HELLOS_AT_A_TIME)
        self._gateways: dict[tuple[str, str], Gateway] = {}
        self._alive: dict[str, asyncio.Task[None]] = {}

    async def follow(self) -> None:
        """Let an agent live in every pod that runs, until cancelled."""
        query = {"labelSelector": LABEL}
        found = await self._client.get(f"{self._path}/pods?labelSelector={LABEL}")
        for pod in found["items"]:
            self._observe("ADDED", pod)
        version = found["metadata"]["resourceVersion"]
        while True:
            async for event in self._client.watch(f"{self._path}/pods", version, **query):
                version = event["object"]["metadata"]["resourceVersion"]
                self._observe(event["type"], event["object"])

    def end(self) -> None:
        """Let no agent live on."""
        for life in self._alive.values():
            life.cancel()

    def _observe(self, kind: str, pod: Json) -> None:
        meta = pod["metadata"]
        uid = meta["uid"]
        if kind == "DELETED" or "deletionTimestamp" in meta:
            life = self._alive.pop(uid, None)
            if life is not None:
                life.cancel()
            self.tally.ready.discard(meta["name"])
        elif uid not in self._alive and pod.get("status", {}).get("phase") == "Running":
            self._alive[uid] = self._group.create_task(self._enliven(pod))

    async def _enliven(self, pod: Json) -> None:
        env = {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}
        where = (env["AGENTCORPS_GATEWAY_URL"], env["AGENTCORPS_CA"])
        if where not in self._gateways:
            self._gateways[where] = Gateway.of(*where)
        name = pod["metadata"]["name"]
        agent = self.made(name, self._gateways[where], await self._token(pod))
        await agent.live(self._room)

    def made(self, pod: str, gateway: Gateway, token: str) -> LoadAgent:
        """Return the agent of a pod."""
        return LoadAgent(pod, gateway, token, self.tally)

    async def _token(self, pod: Json) -> str:
        bound = {"kind": "Pod", "apiVersion": "v1"}
        bound |= {key: pod["metadata"][key] for key in ("name", "uid")}
        spec = {
            "audiences": ["agentcorps.dev"],
            "expirationSeconds": 3600,
            "boundObjectRef": bound,
        }
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        made = await self._client.post(f"{self._path}/serviceaccounts/default/token", request)
        token: str = made["status"]["token"]
        return token


def report(tally: Tally) -> Json:
    """Return the counters of a tally."""
    return {
        "ready": len(tally.ready),
        "accepted": len(tally.accepted),
        "delivered": len(tally.delivered),
        "doubles": tally.doubles,
        "last": tally.last,
        "answers": dict(tally.answers),
    }


def forget(tally: Tally) -> Json:
    """Return when each Task was delivered, and begin a new count."""
    told = {"delivered": tally.delivered, "doubles": tally.doubles}
    tally.delivered, tally.accepted, tally.doubles = {}, {}, 0
    return told


async def serve(kubeconfig: Path, namespace: str, requests: asyncio.StreamReader) -> None:
    """Run a crowd, and answer questions about it, until there are no more of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    async with Client.connected(kubeconfig) as client, asyncio.TaskGroup() as group:
        crowd = Crowd(client, namespace, group)
        following = group.create_task(crowd.follow())
        while question := await requests.readline():
            answer = ANSWERS[question.decode().strip()](crowd.tally)
            print(orjson.dumps(answer).decode(), flush=True)  # noqa: T201 - the answer
        following.cancel()
        crowd.end()


ANSWERS = {"report": report, "forget": forget}
