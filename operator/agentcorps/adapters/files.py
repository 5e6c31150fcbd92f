"""How many files, and so connections, this process may have open."""

from __future__ import annotations

import resource


def raise_open_files() -> int:
    """Raise the limit of open files as far as this process may; returns the limit.

    Container runtimes start processes with 1,024 and allow more: a fleet of agents, each with an
    open poll, would not get in.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
