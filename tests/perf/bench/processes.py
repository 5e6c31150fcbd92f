"""CPU time and memory of processes, as the kernel counts them."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
_RESET_PEAK = "5"
"""To ``clear_refs``: the peak of resident memory begins anew (proc(5))."""


class Usage(NamedTuple):
    """What processes have used."""

    cpu_seconds: float
    rss_mib: float
    peak_mib: float


def parse_cpu(stat: str) -> float:
    """Return the seconds of CPU in ``/proc/PID/stat``; the command in it may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def parse_memory(status: str, field: str) -> float:
    """Return a memory field of ``/proc/PID/status`` in MiB; 0 where it is missing."""
    line = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(line[1]) / 1024 if line else 0.0


def usage(pids: Iterable[int]) -> Usage:
    """Return what processes use together; those that are gone count as nothing."""
    cpu = rss = peak = 0.0
    for pid in pids:
        folder = Path(f"/proc/{pid}")
        try:
            stat, status = (folder / "stat").read_text(), (folder / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        cpu += parse_cpu(stat)
        rss += parse_memory(status, "VmRSS")
        peak += parse_memory(status, "VmHWM")
    return Usage(cpu, rss, peak)


def runs(pid: int) -> bool:
    """Tell whether a process is still there."""
    return Path(f"/proc/{pid}").exists()


def forget_peaks(pids: Iterable[int]) -> None:
    """Let the peak of each process begin at what it has now."""
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)


def spent(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, float]:
    """Return the CPU seconds of each group of processes that both readings know."""
    return {name: one.cpu_seconds - before[name].cpu_seconds for name, one in after.items()}
