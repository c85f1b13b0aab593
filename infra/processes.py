"""Who a process is: numbers come again, and a process's start in clock time moves with the clock.

The kernel counts from the boot; what psutil gives as a time of day has the boot's time of day added
*now*, which is another after the clock was set. So a process is named by the boot and by when it
started after it.
"""

import os
from pathlib import Path

import psutil

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def started(process: psutil.Process) -> str:
    """When a process started, as a word that stays the same for as long as it lives.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    after = process.create_time() - psutil.boot_time()
    return f"{_boot()}+{round(after * 100)}"


def left_behind(leader: int, since: str, folder: Path) -> list[psutil.Process]:
    """Who is alive of the session of a leader that started at `since` in `folder`, and has ended.

    The kernel gives a number to nobody while a session is named by it; the folder tells them from
    the session of somebody who got the number later and has ended, too, as daemons do.
    """
    if not (since.startswith(_boot()) and _ended(leader, since)):
        return []
    return [one for one in psutil.process_iter() if _of(one, leader, folder)]


def _ended(pid: int, since: str) -> bool:
    """Whether it is no more, or only its number is, since nobody asked how it ended."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE and started(process) == since
    except psutil.NoSuchProcess:
        return True


def _of(process: psutil.Process, session: int, folder: Path) -> bool:
    try:
        return os.getsid(process.pid) == session and Path(process.cwd()) == folder.resolve()
    except (OSError, psutil.Error):  # it has ended, or is another user's
        return False


def _boot() -> str:
    """Of this boot of the machine; where the system does not name it, of none."""
    return _BOOT.read_text()[:8] if _BOOT.exists() else "boot"
