"""How Beam jobs run here: the runner, bucketed elements, files as the result.

Elements are Arrow tables or bucket indices, never single events. A job ends in `Publish`, which
gathers file entries (a few hundred bytes each), not rows.
"""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms import userstate

from infra import errors
from infra.errors import ConfigError, DupnError, OrchestrationError
from infra.store import Attempt, FileEntry
from pipeline.beam import workers
from pipeline.beam.runner import BeamConfig, passes

__all__ = ["BeamConfig", "Gather", "Publish", "Spread", "options", "passes", "pipeline"]


def options(config: BeamConfig) -> PipelineOptions:
    """Options for the configured runner (FnApiRunner pinned: Prism would be downloaded)."""
    logging.getLogger("apache_beam").setLevel(logging.WARNING)
    logging.getLogger("apache_beam.runners.common").addFilter(_is_news)
    if config.runner == "inprocess":
        flags = ["--runner=FnApiRunner", *config.options]
    elif config.runner == "multiprocess":
        flags = [
            "--runner=FnApiRunner",
            "--direct_running_mode=multi_processing",
            f"--direct_num_workers={config.workers}",
            *config.options,
        ]
    else:
        flags = [f"--runner={config.runner}", *config.options]
    return _Options(flags)


class _Options(PipelineOptions):
    """Options that make every view once, because making one runs a parser of arguments.

    Beam asks for some at each transform. Views share what they hold: one is as good as another.
    """

    def __init__(self, flags: Sequence[str]) -> None:
        super().__init__(flags)
        self.__dict__["_views"] = {}

    def view_as(self, cls: type[Any]) -> Any:
        """See PipelineOptions."""
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_views": {}}


Specs = tuple[set[userstate.StateSpec], set[userstate.TimerSpec]]


def specs_by_class(look: Callable[[beam.DoFn], Specs]) -> Callable[[beam.DoFn], Specs]:
    """The same answers as `look` gives, which is asked once a class of DoFn.

    Which states and timers a DoFn has is told by its methods, and Beam reads the signature of each
    of them some eight times a transform: a fifth of what a job takes on a small day. A DoFn that
    was given a method of another object is looked at each time.
    """
    known: WeakKeyDictionary[type[beam.DoFn], Specs] = WeakKeyDictionary()

    @wraps(look)
    def specs(dofn: beam.DoFn) -> Specs:
        if any(isinstance(one, MethodType) for one in vars(dofn).values()):
            return look(dofn)
        kind = type(dofn)
        if kind not in known:
            known[kind] = look(dofn)
        states, timers = known[kind]
        return set(states), set(timers)

    return specs


userstate.get_dofn_specs = specs_by_class(userstate.get_dofn_specs)
workers.register()


@contextmanager
def pipeline(config: BeamConfig) -> Iterator[beam.Pipeline]:
    """A pipeline for a `with` block; leaving the block runs it and waits.

    Raises:
        ConfigError: the runner is asked not to wait.
        OrchestrationError: the job ended otherwise than done, without an error of its own, or lost
            one of its worker processes.
        DupnError: what a worker raised, with its own sentence, wherever the worker ran.
    """
    asked = options(config)
    _refuse_to_leave(asked)
    # Arrow's own allocator asks for huge pages and has them cleared again and again
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        with workers.losses() as losses, beam.Pipeline(options=asked) as flow:
            yield flow
        _require_done(flow)
    except Exception as error:  # a runner raises whatever it likes
        told = own_error(error) or workers.broken_off(str(error), losses)
        if told is None:
            raise
        raise told from None


def _refuse_to_leave(asked: PipelineOptions) -> None:
    if asked.view_as(StandardOptions).no_wait_until_finish:
        raise ConfigError(
            "beam.options has --no_wait_until_finish: a step would publish before its job has "
            "written anything, in place of what is good. Take the option away."
        )


def _require_done(flow: beam.Pipeline) -> None:
    """A runner raises where a job fails; one that was cancelled just ends."""
    state = getattr(flow.result, "state", None)
    if state not in {None, PipelineState.UNKNOWN, PipelineState.DONE}:
        raise OrchestrationError(
            f"the Beam job ended as {state}, so nothing is published; what was published before "
            "still holds. Look at the runner's page of the job, then run the step again."
        )


def own_error(error: Exception) -> DupnError | None:
    """The `DupnError` inside what Beam raised, or None if it holds none.

    Beam adds the step's label to the sentence of an error, and of one in another process it keeps
    only the text of the trace, in which the class and the sentence stand on a line of their own.
    """
    if isinstance(error, DupnError):
        return type(error)(_LABEL.sub("", str(error)))
    lines = _OWN_LINE.findall(str(error))
    if not lines:
        return None
    name, sentence = lines[-1]
    kind = getattr(errors, name)
    own: DupnError = kind(_LABEL.sub("", sentence).strip())
    return own


_LABEL = re.compile(r"( \[while running '[^\n]*?'\])+$")
_OWN_LINE = re.compile(
    rf"^{errors.__name__}\.({'|'.join(k for k in vars(errors) if k[0].isupper())}): (.+)$", re.M
)


def _is_news(record: logging.LogRecord) -> bool:
    """Not the trace of an error of ours, which a front door says in one sentence, nor of Ctrl-C."""
    expected = (DupnError, KeyboardInterrupt)
    return not (record.exc_info and isinstance(record.exc_info[1], expected))


class Spread(beam.PTransform):
    """Elements, each of which may go to another worker.

    Grouped by what they are: Beam's own Reshuffle expands into four times as many transforms, and
    building them takes longer than a small day's work.
    """

    def expand(self, elements: Any) -> Any:
        """The same elements."""
        return (
            elements
            | "By themselves" >> beam.Map(_keyed)
            | "Group" >> beam.GroupByKey()
            | "One by one" >> beam.FlatMap(_values)
        )


class Gather(beam.PTransform):
    """Elements, which must be few and small -> one list of them; nothing where there are none."""

    def expand(self, elements: Any) -> Any:
        """All under one key: a third of the transforms of Beam's ToList."""
        return (
            elements
            | "All alike" >> beam.Map(_alike)
            | "Group" >> beam.GroupByKey()
            | "As a list" >> beam.Map(_values)
        )


def _keyed(element: Any) -> tuple[str, Any]:
    return repr(element), element


def _alike(element: Any) -> tuple[int, Any]:
    return 0, element


def _values(group: tuple[Any, Iterable[Any]]) -> list[Any]:
    return list(group[1])


class Publish(beam.PTransform):
    """File entries -> recorded with the attempt; the caller's `publish()` block then commits."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        self.attempt = attempt

    def expand(self, entries: Any) -> Any:
        """Gather the entries (small) and note them in one write."""
        return (
            entries
            | "Gather file entries" >> Gather()
            | "Record them" >> beam.Map(_record, self.attempt)
        )


def _record(entries: Sequence[FileEntry], attempt: Attempt) -> int:
    attempt.record(sorted(entries, key=lambda entry: entry.name))
    return len(entries)
