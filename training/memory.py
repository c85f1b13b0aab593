"""Freed memory stays with the process.

A training step on a CPU frees and asks again for tensors of 50 MB and more. The C library hands
such blocks back to the kernel each time, and the page faults of getting them anew cost 40 % of a
step (1,000 against 1,750 moments a second at the paper's sizes). Resident memory then stays at its
peak, which is where the next step takes it anyway.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory() -> bool:
    """Ask glibc to serve large blocks from a heap that it keeps; False where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    wanted = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26))
    return all(mallopt(option, value) == 1 for option, value in wanted)
