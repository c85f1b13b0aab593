"""A DoFn whose elements are worked on by several threads at once; what comes out keeps its order.

The local runner's own threads hand every element through one more queue of bytes, which doubles
the cost of a shuffle; threads inside the bundle share the process and copy nothing.
"""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.beam.threads import Threads


def a_run() -> str:
    """A name for one run of a job, of which the looked-up tables that a process keeps are.

    A worker may outlive a run, and the days that the next one reads may have been made again.
    """
    return uuid.uuid4().hex


class Threaded(beam.DoFn, ABC):
    """Subclasses define `work`, which must not change what threads share.

    Memory grows with the elements under way: at most `threads` of them, and as many results.
    """

    def __init__(self, threads: int) -> None:
        super().__init__()
        self.threads = threads

    @abstractmethod
    def work(self, element: Any) -> Iterable[Any]:
        """Outputs of one element, plain or tagged; runs in a thread."""

    def setup(self) -> None:
        """Take the threads."""
        self.running: Threads[Any, list[Any]] = Threads(self._whole, self.threads)

    def teardown(self) -> None:
        """Give the threads back."""
        self.running.close()

    def process(self, element: Any) -> Iterator[Any]:
        """Begin with the element; what is due comes out."""
        for done in self.running.put(element):
            yield from done

    def finish_bundle(self) -> Iterator[Any]:
        """What is still under way."""
        for done in self.running.rest():
            for output in done:
                if isinstance(output, beam.pvalue.TaggedOutput):
                    yield beam.pvalue.TaggedOutput(output.tag, timeless(output.value))
                else:
                    yield timeless(output)

    def _whole(self, element: Any) -> list[Any]:
        return list(self.work(element))


def timeless(value: Any) -> WindowedValue:
    """As what a bundle ends with must be."""
    return WindowedValue(value, GlobalWindow().max_timestamp(), [GlobalWindow()])
