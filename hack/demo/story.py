"""The demo from beginning to end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agentcorps.cli.connection import connect
from agentcorps.cli.errors import CliError, one_line
from agentcorps.cli.options import Connection
from demo import cast, work
from demo.kubectl import DemoError, need_kubectl
from demo.screen import Screen

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the demo; returns the exit code."""
    os.chdir(CHECKOUT)
    try:
        return _play(Screen())
    except (DemoError, CliError) as error:
        sys.stdout.flush()
        sys.stderr.write(f"demo: {one_line(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("demo: stopped; `make run` starts it again\n")
        return 130


def _play(screen: Screen) -> int:
    need_kubectl()
    cast.show_cluster(screen)
    cast.show_operator(screen)
    cast.raise_pool(screen)
    with connect(Connection(kubeconfig=os.environ.get("KUBECONFIG"))) as cluster:
        names = work.submit(screen, cluster)
        tasks = work.follow(screen, cluster, names)
    totals = work.show_results(screen, tasks)
    _show_next(screen, names[0])
    return 0 if totals.succeeded == totals.total else 1


def _show_next(screen: Screen, task: str) -> None:
    screen.step("What to try next")
    given = """'{"text": "Call me Ishmael."}'"""
    submission = (
        f"agentcorps task submit --pool {cast.POOL} --requires keywords --input {given} --wait"
    )
    screen.say("Everything is still running. In this shell, from the checkout:")
    screen.commands(
        [
            ('eval "$(make -s env)"', "kubectl for this cluster, agentcorps on the PATH"),
            ("kubectl get agentpools,agents,pods", "the pool, its agents, their pods"),
            (f"kubectl get task {task} -o yaml", "a task with its result"),
            (f"agentcorps task result {task}", "the result alone"),
            (f"kubectl scale agentpool/{cast.POOL} --replicas 4", "more agents"),
            (f"kubectl delete pod {cast.POOL}-0", "it comes back; its task goes on elsewhere"),
            ("kubectl create -f examples/task.yaml", "one more task"),
            (submission, "a task and its result in one command"),
            ("agentcorps status", "pools, agents, tasks at a glance"),
            ("make run", "this again"),
            ("make cluster-down", "end all of it"),
        ]
    )
