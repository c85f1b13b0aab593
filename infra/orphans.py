"""Worker processes that end with the process that started them.

A pool's worker whose parent is killed goes on with what it has, and then with what was already
queued: hours of work that nobody waits for, beside a second run of the same that somebody starts.
A service's worker would answer on and hold the port.
"""

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """In a worker (a pool's `initializer`): it ends, without tidying up, when its parent has ended.

    What is half written then is not visible: partitions are published whole.
    """
    threading.Thread(target=_wait, name="end with parent", daemon=True).start()


def _wait() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:  # else nobody started this process as a worker
        parent.join()
        os._exit(1)
