"""A handler in a process of its own, which is killed when its attempt is to stop.

The process is forked from a clean server process, never from this one with its threads and
connections. What it says comes as JSON over a pipe: data, never code.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from dataclasses import asdict
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from agentcorps.agent import logs
from agentcorps.agent.call import call_sync
from agentcorps.agent.context import Context
from agentcorps.agent.handlers import make_handler
from agentcorps.agent.outcome import Completed, Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from agentcorps.agent.context import TaskInfo
    from agentcorps.agent.handlers import Handler
    from agentcorps.agent.outcome import Outcome


def run_in_process(
    handler: Handler, value: dict[str, Any], info: TaskInfo, context: Context
) -> Outcome:
    """Run a handler in a new process and wait for its end, in the calling thread."""
    workers = multiprocessing.get_context("forkserver")
    # Imported once there, not once per task; __main__ is not meant to be imported early.
    module = handler.function.__module__
    workers.set_forkserver_preload([] if module == "__main__" else [module])
    ours, theirs = workers.Pipe(duplex=False)
    process = workers.Process(target=_main, args=(theirs, handler.function, value, info))
    process.start()
    theirs.close()
    group = _Group(process)
    context.on_cancel(group.kill)
    with ours:
        outcome = _listen(ours, process, context)
    group.end()
    return outcome or Failed("ProcessDied", f"the handler's process ended with {group.exit_code}")


class _Group:
    """A process and all that it started, killed together and only while they are ours."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._ended = False
        self.exit_code: int | None = None

    def kill(self) -> None:
        """Kill the group; nothing happens once it has ended, when its number may be another's."""
        pid = self._process.pid
        with self._lock:
            if self._ended or pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                try:
                    os.killpg(pid, signal.SIGKILL)
                except ProcessLookupError:
                    # It was too young to lead a group.
                    os.kill(pid, signal.SIGKILL)

    def end(self) -> None:
        """Wait for the end of the process."""
        self._process.join()
        with self._lock:
            self._ended = True
            self.exit_code = self._process.exitcode
            self._process.close()


def _listen(ours: Connection, process: BaseProcess, context: Context) -> Outcome | None:
    """Take what the process says until it told its outcome or is gone."""
    while True:
        # The pipe may be kept open by a process that it left behind, so its end is watched too.
        if ours not in wait([ours, process.sentinel]):
            return None
        try:
            said = json.loads(ours.recv_bytes())
        except (EOFError, OSError, ValueError):
            return None
        if "progress" in said:
            context.progress(*said["progress"])
        elif "failed" in said:
            return Failed(**said["failed"])
        else:
            return Completed(said["completed"])


def _main(
    pipe: Connection, function: Callable[..., Any], value: dict[str, Any], info: TaskInfo
) -> None:
    """What runs in the new process."""
    os.setsid()
    logs.configure()

    lock = threading.Lock()

    def say(what: dict[str, Any]) -> None:
        # A pipe mixes up what two threads of the handler send at once.
        with lock:
            pipe.send_bytes(json.dumps(what).encode())

    context = Context(info, lambda percent, message: say({"progress": [percent, message]}))
    outcome = call_sync(make_handler(function, None, process=True), value, info, context)
    if isinstance(outcome, Completed):
        say({"completed": outcome.result})
    else:
        say({"failed": asdict(outcome)})
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # What the handler started ends with it; nothing is left to do in this process either.
    os.killpg(0, signal.SIGKILL)
