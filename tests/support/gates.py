"""Files that hold back the work of agents in the tests' own process until the test makes them."""

import asyncio
from pathlib import Path

LOOK_SECONDS = 0.1


async def opened(gate: str | None) -> None:
    """Wait until the file is there; without a name not at all."""
    while gate is not None and not Path(gate).exists():  # noqa: ASYNC110, ASYNC240 -- others make it
        await asyncio.sleep(LOOK_SECONDS)
