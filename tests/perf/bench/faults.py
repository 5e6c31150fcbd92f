"""W6: what happens to a burst while the operator dies and the API server lies."""

import asyncio
import signal

from perf.bench.client import Json
from perf.bench.fleet import Fleet
from support.fault_proxy import FaultProxy
from support.fault_rules import Rule, answering, failing_after

CONFLICT_SHARE = 0.1
CUT_AT, KILL_AT, GONE_AT = 0.15, 0.35, 0.6
"""Shares of the Tasks after whose end each fault comes."""
_GONE_SECONDS = 1.0


def conflicts() -> Rule:
    """A tenth of all status writes of Tasks is answered 409, and does not happen."""
    return Rule(answering(409), methods=("PUT",), path="/tasks/[^/]+/status", chance=CONFLICT_SHARE)


class Trouble:
    """Called with a fleet at work; returns what it did."""

    def __init__(self, proxy: FaultProxy) -> None:
        """Prepare."""
        self._proxy = proxy

    async def __call__(self, fleet: Fleet, count: int) -> Json:
        """Cut the watches, kill the operator, answer watches with 410; conflicts all the time."""
        rule = conflicts()
        with self._proxy.injecting(rule):
            await fleet.reached("accepted", CUT_AT * count)
            self._proxy.cut_watches()
            await fleet.reached("accepted", KILL_AT * count)
            fleet.operator.send(signal.SIGKILL)
            await asyncio.to_thread(fleet.operator.wait, 60)
            await asyncio.to_thread(fleet.operator.start)
            await fleet.reached("accepted", GONE_AT * count)
            with self._proxy.watching(failing_after(0, 410)):
                await asyncio.sleep(_GONE_SECONDS)
            await fleet.reached("accepted", count)
        return {"conflicts": rule.hits, "kills": 1, "cuts": 1, "gone_seconds": _GONE_SECONDS}
