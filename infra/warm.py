"""The executor of the local Airflow: a task starts with the large libraries imported.

LocalExecutor forks its workers from the scheduler, and a worker forks a process for each task. What
the scheduler has imported by then, no task imports again, and all of them share its memory; without
it, importing takes longer than the work of a small day. Only libraries of others: dupn's own
modules may change while an Airflow runs, and a task reads them anew. Only those whose import starts
no thread that a fork would miss: MLflow, which brings Polars, is not among them
(tests/infra/test_warm.py).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from airflow.executors.local_executor import LocalExecutor

LIBRARIES = ("apache_beam", "great_expectations", "torch")
"""What tasks spend their first seconds on, with all that these import themselves."""


class WarmExecutor(LocalExecutor):
    """LocalExecutor whose workers know `LIBRARIES`."""

    def start(self) -> None:
        """Import, then fork the workers; where they are not forked, imports would reach nobody."""
        if self.is_mp_using_fork:
            with _silently():
                for name in LIBRARIES:
                    import_module(name)
        super().start()


@contextmanager
def _silently() -> Iterator[None]:
    """Great Expectations logs some two hundred lines about itself when it is imported."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
