"""What is said where a process gets no more memory or threads.

Python, the loader of libraries and the system have an error each for it, none with a word about
what to do. A process that the system kills, or a library that ends it, says nothing here.
"""

import errno
import os

_KINDS = (RuntimeError, ImportError, OSError)
_SAID = ("can't start new thread", "failed to map segment", os.strerror(errno.ENOMEM))
"""By Python, by the loader, by the system (also in the words of others, without its number)."""


def exhausted(error: Exception) -> str:
    """The sentence about an error that says so; empty of every other."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if not isinstance(error, MemoryError) and not (
        isinstance(error, _KINDS) and any(words in said for words in _SAID)
    ):
        return ""
    return (
        f"memory or threads are used up ({said}). Raise the limit (`ulimit -v`, `ulimit -u`, a "
        "container's), or need less: fewer beam.workers, more beam.buckets, a smaller "
        "train.shuffle_buffer. What was published before still holds: run again."
    )
