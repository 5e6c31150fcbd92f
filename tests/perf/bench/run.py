"""One run: every arm, in random order, again and again, each time on a control plane of its own."""

import os
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from perf.bench.blocks import ONCE, REPEATED, Arms, Block, Repetition, say
from perf.bench.client import Client
from perf.bench.plane import started
from perf.bench.sizes import Sizes


@dataclass
class Run:
    """Measures everything, or what was chosen.

    Attributes:
        sizes: How much.
        only: Names of blocks; empty means all.
        folder: Gets the logs of what is started.
        arms: What was measured so far.
    """

    sizes: Sizes
    only: frozenset[str]
    folder: Path
    arms: Arms = field(default_factory=dict)
    dice: random.Random = field(default_factory=random.Random)

    async def measure(self) -> Arms:
        """Measure; a repetition is one control plane with fresh etcd."""
        for number in range(1, self.sizes.repetitions + 1):
            await self._repetition(number, REPEATED)
        await self._repetition(self.sizes.repetitions + 1, ONCE)
        return self.arms

    async def _repetition(self, number: int, blocks: Mapping[str, Block]) -> None:
        names = [name for name in blocks if not self.only or name in self.only]
        if not names:
            return
        self.dice.shuffle(names)
        say(f"control plane {number} of {self.sizes.repetitions + 1}: {', '.join(names)}")
        async with self._plane(number) as rep:
            for name in names:
                await blocks[name](rep)

    @asynccontextmanager
    async def _plane(self, number: int) -> AsyncIterator[Repetition]:
        logs = self.folder / f"repetition-{number}"
        logs.mkdir(parents=True, exist_ok=True)
        with started(f"bench-{os.getpid()}-{number}") as plane:
            async with Client.connected(plane.kubeconfig) as client:
                yield Repetition(plane, client, self.sizes, number, logs, self.arms)


async def run(sizes: Sizes, only: Iterable[str], folder: Path) -> Arms:
    """Measure everything; see ``Run``."""
    return await Run(sizes, frozenset(only), folder).measure()
