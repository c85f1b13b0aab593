"""Who a process is: numbers come again, and a process's start in clock time moves with the clock.

The kernel counts from the boot; what psutil gives as a time of day has the boot's time of day added
*now*, which is another after the clock was set. So a process is named by the boot and by when it
started after it.
"""

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


def _boot() -> str:
    """Of this boot of the machine; where the system does not name it, of none."""
    return _BOOT.read_text()[:8] if _BOOT.exists() else "boot"
