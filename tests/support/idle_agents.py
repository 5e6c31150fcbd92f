"""Many idle agents in one event loop: real TLS, real tokens, the real protocol, and no work."""

import asyncio
import itertools
import random
import ssl
from dataclasses import dataclass, field
from uuid import uuid4

import aiohttp

POLL_SECONDS = 30
AT_A_TIME = 40
"""Hellos under way: a crowd that arrives at once would measure the handshakes."""
OK, NOTHING = 200, 204


@dataclass
class IdleAgents:
    """Polls in the name of pods; each agent keeps a connection of its own."""

    url: str
    authority: str
    tokens: list[str]
    connected: int = 0
    answers: dict[int, int] = field(default_factory=dict)
    """How often each status was answered."""

    async def run(self) -> None:
        """Say hello for all of them, then poll until cancelled."""
        room = asyncio.Semaphore(AT_A_TIME)
        context = ssl.create_default_context(cadata=self.authority)
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        timeout = aiohttp.ClientTimeout(total=POLL_SECONDS + 30)
        async with aiohttp.ClientSession(self.url, connector=connector, timeout=timeout) as client:
            await asyncio.gather(*(self._agent(client, token, room) for token in self.tokens))

    async def _agent(
        self, client: aiohttp.ClientSession, token: str, room: asyncio.Semaphore
    ) -> None:
        instance = uuid4().hex
        hello = {"protocolVersion": 1, "instance": instance, "slots": 1}
        async with room:
            for pause in itertools.count(1):
                if await self._post(client, "/v1/hello", token, hello) == OK:
                    break
                await asyncio.sleep(min(pause, 5))
        self.connected += 1
        # Agents of a real fleet did not start in the same second.
        wait = random.uniform(1, POLL_SECONDS)  # noqa: S311 - a spread, not a secret
        while True:
            poll = {"instance": instance, "free": 1, "wait": wait}
            if await self._post(client, "/v1/tasks/next", token, poll) not in {OK, NOTHING}:
                await self._post(client, "/v1/hello", token, hello)
            wait = POLL_SECONDS

    async def _post(
        self, client: aiohttp.ClientSession, path: str, token: str, body: dict[str, object]
    ) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        async with client.post(path, json=body, headers=headers) as answer:
            await answer.read()
        self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        return answer.status
