"""A real SDK agent in a thread, with the token of a pod that only exists as an object."""

import asyncio
import threading
from pathlib import Path
from typing import Self

from agentcorps.agent import Agent
from agentcorps.agent.settings import Settings
from support.kubectl import Kubectl

AUDIENCE = "agentcorps.dev"


def pod_token(kubectl: Kubectl, pod: str, audience: str = AUDIENCE) -> str:
    """Return a token that the API server binds to a pod, as the kubelet would project it."""
    answer = kubectl.run(
        "create",
        "token",
        "default",
        f"--audience={audience}",
        "--bound-object-kind=Pod",
        f"--bound-object-name={pod}",
    )
    assert answer.ok, answer.stderr
    return answer.stdout.strip()


class LiveAgent:
    """Runs an SDK agent against a gateway, in a thread and an event loop of its own."""

    def __init__(
        self, agent: Agent, gateway_url: str, ca: str, token: str, folder: Path, *, grace: float = 5
    ) -> None:
        """Prepare an agent; ``with`` runs it."""
        token_file = folder / f"token-{id(self)}"
        token_file.write_text(token)
        self._agent = agent
        self._settings = Settings(gateway_url, ca, token_file, grace)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._killed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Start working."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop as SIGTERM would, and wait."""
        self.stop()

    def stop(self) -> None:
        """Finish what runs, say goodbye, end."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60)

    def kill(self) -> None:
        """End at once, with not a word to anybody, as the death of the container would."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._killed.set)
            self._thread.join(60)

    def _run(self) -> None:
        self._loop.run_until_complete(self._live())
        self._loop.close()

    async def _live(self) -> None:
        serving = asyncio.ensure_future(self._agent.serve(self._settings, self._stop))
        killed = asyncio.ensure_future(self._killed.wait())
        await asyncio.wait({serving, killed}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # A TLS connection to a peer that is dead or stopped would wait for its farewell.
        for transport in list(getattr(self._loop, "_transports", {}).values()):
            transport.abort()
        await asyncio.sleep(0.1)
