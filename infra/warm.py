"""The executor of the local Airflow: a task starts with the large libraries imported.

LocalExecutor forks its workers from the scheduler, and a worker forks a process for each task. What
the scheduler has imported by then, no task imports again, and all of them share its memory; without
it, importing takes longer than the work of a small day. Only libraries of others: dupn's own
modules may change while an Airflow runs, and a task reads them anew. Only those whose import starts
no thread that a fork would miss (tests/infra/test_warm.py): Polars is not among them.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from airflow.executors.local_executor import LocalExecutor

LIBRARIES = (
    "apache_beam",
    "great_expectations",
    "torch",
    "sklearn.linear_model",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
)
"""What tasks spend their first seconds on, with all that these import themselves."""
UNFORKABLE = "polars"
"""Starts a thread when it is imported; MLflow imports it for data sets that it would log, which
dupn has none of, and does without it where it is absent."""


class WarmExecutor(LocalExecutor):
    """LocalExecutor whose workers know `LIBRARIES`."""

    def start(self) -> None:
        """Import, then fork the workers; where they are not forked, imports would reach nobody."""
        if self.is_mp_using_fork:
            with _silently():
                load()
        super().start()


def load() -> None:
    """Import `LIBRARIES`, none of which finds `UNFORKABLE`; whoever is forked may import it."""
    with _hidden(UNFORKABLE):
        for name in LIBRARIES:
            import_module(name)


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Inside, importing the library fails as if it were not installed, unless it was before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # how Python says: do not look for it
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _silently() -> Iterator[None]:
    """Great Expectations logs some two hundred lines about itself when it is imported."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
