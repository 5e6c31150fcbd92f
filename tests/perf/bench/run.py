"""One run: every arm, in random order, again and again, each time on a control plane of its own."""

import os
import random
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from perf.bench.blocks import ONCE, REPEATED, VIRTUAL, Arms, Block, Repetition, say
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
        failed: Repetitions that came to a bad end, and why; their other arms count.
    """

    sizes: Sizes
    only: frozenset[str]
    folder: Path
    arms: Arms = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    dice: random.Random = field(default_factory=random.Random)

    async def measure(self) -> None:
        """Measure; a repetition is one control plane with fresh etcd."""
        for number in range(1, self.sizes.repetitions + 1):
            await self._repetition(number, REPEATED)
        await self._repetition(self.sizes.repetitions + 1, ONCE)
        for arm, work in VIRTUAL.items():
            if not self.only or arm in self.only:
                say(f"virtual clock: {arm}")
                self.arms[arm] = [{"repetition": 1, **work(self.sizes)}]

    async def _repetition(self, number: int, blocks: Mapping[str, Block]) -> None:
        names = [name for name in blocks if not self.only or name in self.only]
        if not names:
            return
        self.dice.shuffle(names)
        say(f"control plane {number} of {self.sizes.repetitions + 1}: {', '.join(names)}")
        try:
            async with self._plane(number) as rep:
                for name in names:
                    await blocks[name](rep)
        except Exception as error:  # noqa: BLE001 - half an hour of figures must not be lost with one
            self.failed.append(f"repetition {number}: {error!r}")
            say(f"  failed: {error!r}")
            traceback.print_exception(error)

    @asynccontextmanager
    async def _plane(self, number: int) -> AsyncIterator[Repetition]:
        logs = self.folder / f"repetition-{number}"
        logs.mkdir(parents=True, exist_ok=True)
        with started(f"bench-{os.getpid()}-{number}") as plane:
            async with Client.connected(plane.kubeconfig) as client:
                yield Repetition(plane, client, self.sizes, number, logs, self.arms)
