"""Freed memory stays with the process.

A training step on a CPU frees and asks again for tensors of 50 MB and more. The C library hands
such blocks back to the kernel each time, and the page faults of getting them anew cost 40 % of a
step (1,000 against 1,750 moments a second at the paper's sizes). Resident memory then stays at its
peak, which is where the next step takes it anyway.

Only the process's first heap keeps them: others, of which glibc deals one to each new thread while
there are few, hold 64 MB at most, and larger blocks go past them to the kernel.
"""

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8  # malloc.h
_OF_ANOTHER_HEAP = 4  # NON_MAIN_ARENA in malloc.c
_PROBE = 4096
_TRIES = 64


def keep_freed_memory() -> bool:
    """Ask glibc to serve large blocks from a heap that it keeps; False where there is no glibc."""
    c = _glibc()
    if c is None:
        return False
    wanted = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26))
    return all(c.mallopt(option, value) == 1 for option, value in wanted)


def threads(count: int, name: str) -> list[ThreadPoolExecutor]:
    """Single threads whose blocks come from the first heap, as far as such can be had.

    Heaps are dealt in turn and for a thread's life, so threads are begun until enough are dealt
    the right one (1.2 times the steps of `training.shards`, whose recurrences ask for 110 MB).
    From then on the process makes no further heap, unless it had more than eight (glibc has then
    settled on a bound of its own): new threads share those that there are.
    """
    c = _glibc()
    if c is not None:
        c.mallopt(_M_ARENA_MAX, 1)
    found: list[ThreadPoolExecutor] = []
    passed: list[ThreadPoolExecutor] = []  # alive until then, or theirs would be dealt again
    while len(found) < count:
        one = ThreadPoolExecutor(1, thread_name_prefix=name)
        right = len(passed) >= _TRIES or one.submit(_in_first_heap).result()
        (found if right else passed).append(one)
    for one in passed:
        one.shutdown()
    return found


def _in_first_heap() -> bool:
    """Of the calling thread, by a flag that glibc keeps before every block; True without glibc."""
    c = _glibc()
    if c is None:
        return True
    c.malloc.restype, c.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    c.free.argtypes = [ctypes.c_void_p]
    block = c.malloc(_PROBE)
    size = ctypes.c_size_t.from_address(block - ctypes.sizeof(ctypes.c_size_t)).value
    c.free(block)
    return not size & _OF_ANOTHER_HEAP


def _glibc() -> ctypes.CDLL | None:
    """The C library where it is glibc, and no other allocator was loaded before it."""
    if not sys.platform.startswith("linux"):
        return None
    c = ctypes.CDLL(None)
    if not hasattr(c, "gnu_get_libc_version"):
        return None
    own = ctypes.CDLL("libc.so.6").malloc
    places = [ctypes.cast(one, ctypes.c_void_p).value for one in (c.malloc, own)]
    return c if places[0] == places[1] else None
