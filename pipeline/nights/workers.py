"""Which process works on a night, and whether it still does, as far as this machine can tell.

A night that a command runs is refused to a second one while the first is alive; one whose process
was killed is simply taken over. A process is named by host, number and start, since numbers come
again. A DAG run is no process of ours: Airflow's `max_active_runs` keeps those apart, but for runs
of its own Backfill, which it does not count.
"""

import os
import re
import socket

import psutil

from infra import processes

_NAME = re.compile(r"dupn, process (\d+) on (.+) since (\S+)")


def this() -> str:
    """The name of this process."""
    mine = psutil.Process()
    return f"dupn, process {mine.pid} on {socket.gethostname()} since {processes.started(mine)}"


def is_command(run: str) -> bool:
    """Whether a night's run is a command and not a DAG run."""
    return bool(_NAME.fullmatch(run))


def alive(run: str) -> bool:
    """Whether a command still runs; one on another machine is taken to be alive."""
    match = _NAME.fullmatch(run)
    if match is None:
        return False
    number, host, since = int(match[1]), match[2], match[3]
    if host != socket.gethostname():
        return True
    if number == os.getpid():
        return False  # an earlier try in this very process has ended, or we would not be here
    try:
        found = psutil.Process(number)
        return processes.started(found) == since and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
