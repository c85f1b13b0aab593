"""How many cores a process may use.

`os.cpu_count` tells what the machine has. A container that may use 2 of 64 would start 64 worker
processes by that, each with a network in memory, and all of them would wait for one another.
"""

import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
"""Control groups of Linux (version 2)."""
OWN = Path("/proc/self/cgroup")
"""Which one this process is of."""


def usable() -> int:
    """Processors that this process is bound to, but for quotas of time (rounded up)."""
    bound = getattr(os, "sched_getaffinity", None)
    processors = len(bound(0)) if bound else os.cpu_count() or 1
    return min([processors, *_quotas()])


def _quotas() -> Iterator[int]:
    """Of the group and of all around it; a container sees its own where the root should be."""
    try:
        lines = OWN.read_text().splitlines()
    except OSError:
        return
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    parts = [part for part in own.split("/") if part and part != ".."]
    for depth in range(len(parts) + 1):
        file = GROUPS.joinpath(*parts[:depth], "cpu.max")
        if file.exists():
            quota, period = file.read_text().split()
            if quota != "max":
                yield -(-int(quota) // int(period))
