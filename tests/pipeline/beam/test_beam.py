"""What a worker raises reaches the front door as itself, wherever the worker runs."""

import importlib
import inspect
import pkgutil

import apache_beam
import pytest
from apache_beam.coders import BytesCoder
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineState
from apache_beam.transforms import userstate

from infra.errors import ConfigError, OrchestrationError, PartitionCorrupt, StoreError
from infra.store import Attempt, Store
from pipeline import jobs
from pipeline.beam.run import BeamConfig, own_error, pipeline, specs_by_class
from tests.disks import disk, files_up_to

HERE = BeamConfig()
APART = BeamConfig(runner="multiprocess", workers=2)
BIG = 2**20
SLOWLY = inspect.unwrap(userstate.get_dofn_specs)
"""Beam's own way."""


def write(number: int, out: Attempt) -> int:
    out.write_bytes(f"part-{number}.bin", bytes(BIG))
    return number


def run(store: Store, config: BeamConfig) -> None:
    with store.partition("events").publish() as out, pipeline(config) as flow:
        numbers = flow | "Numbers" >> apache_beam.Create([1, 2, 3])
        numbers | "Spread" >> apache_beam.Reshuffle() | "Write" >> apache_beam.Map(write, out)


@pytest.mark.parametrize("config", [HERE, APART], ids=lambda config: config.runner)
def test_a_worker_that_cannot_write_says_its_own_sentence(tmp_path, config):
    with files_up_to(BIG // 2), pytest.raises(StoreError) as told:
        run(Store(tmp_path), config)
    assert type(told.value) is StoreError
    assert str(told.value).startswith(str(tmp_path / "events" / "part-"))
    assert str(told.value).endswith("what was published before still holds.")
    assert not Store(tmp_path).partition("events").exists()


def test_a_full_disk_says_its_own_sentence(tmp_path):
    with (
        disk(tmp_path / "home") as home,  # notes of an attempt fit, a part does not
        pytest.raises(StoreError, match=r"part-.* the disk is full"),
    ):
        run(Store(home), HERE)


def test_the_class_and_the_sentence_survive_a_trace_of_text():
    text = (
        "Traceback (most recent call last):\n  File x\ninfra.errors.PartitionCorrupt: a is spoilt. "
        "Run `dupn events` first. [while running 'Order it'] [while running 'Twice']\n\n"
    )
    told = own_error(RuntimeError(text))
    assert type(told) is PartitionCorrupt
    assert str(told) == "a is spoilt. Run `dupn events` first."


def test_errors_of_others_stay_what_they_are():
    assert own_error(RuntimeError("ValueError: infra.errors.StoreError")) is None
    with pytest.raises(ZeroDivisionError), pipeline(HERE) as flow:
        flow | "Zero" >> apache_beam.Create([0]) | "Over" >> apache_beam.Map(lambda n: 1 // n)


@pytest.fixture
def good(tmp_path) -> Store:
    """Something is published."""
    store = Store(tmp_path)
    with store.partition("events").publish() as out:
        out.record([out.write_bytes("good.bin", b"good")])
    return store


def still_good(store: Store) -> bool:
    (entry,) = store.partition("events").manifest().files
    with store.partition("events").open(entry) as file:
        return file.read() == b"good"


def test_a_job_that_nobody_waits_for_is_refused_and_what_was_published_holds(good):
    with pytest.raises(ConfigError, match=r"beam\.options has --no_wait_until_finish: a step"):
        run(good, BeamConfig(options=("--no_wait_until_finish",)))
    assert still_good(good)


@pytest.mark.parametrize("state", [PipelineState.CANCELLED, PipelineState.RUNNING])
def test_a_job_that_ended_otherwise_than_done_publishes_nothing(good, monkeypatch, state):
    """A portable runner says nothing of a job that was cancelled but its state."""
    monkeypatch.setattr(FnApiRunner, "run_pipeline", lambda *_: PipelineResult(state))
    monkeypatch.setattr(PipelineResult, "wait_until_finish", lambda result: result.state)
    with pytest.raises(OrchestrationError, match=f"ended as {state}, so nothing is published"):
        run(good, HERE)
    assert still_good(good)


MEMORY = userstate.BagStateSpec("memory", BytesCoder())
ITS_MEMORY = apache_beam.DoFn.StateParam(MEMORY)


class Remembers(apache_beam.DoFn):
    def process(self, element, memory=ITS_MEMORY):
        yield element


def of(name: str) -> apache_beam.DoFn:
    """A DoFn, as far as its class tells; what it was made with plays no part."""
    module, _, kind = name.rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    return found.__new__(found)


def ours() -> list[str]:
    modules = [one.name for one in pkgutil.iter_modules(jobs.__path__, "pipeline.jobs.")]
    kinds = [kind for name in modules for kind in vars(importlib.import_module(name)).values()]
    found = {k for k in kinds if inspect.isclass(k) and issubclass(k, apache_beam.DoFn)}
    return sorted(f"{k.__module__}.{k.__name__}" for k in found if not inspect.isabstract(k))


@pytest.mark.parametrize("name", [f"{__name__}.Remembers", *ours()])
def test_beam_hears_of_a_dofn_what_it_would_find(name):
    looked = []

    def look(dofn):
        looked.append(dofn)
        return SLOWLY(dofn)

    quickly = specs_by_class(look)
    wanted = SLOWLY(of(name))
    assert [quickly(of(name)) for _ in range(3)] == [wanted] * 3
    assert len(looked) == 1
    assert bool(wanted[0]) == name.endswith("Remembers")


def test_a_dofn_that_was_given_a_method_of_another_is_looked_at_itself():
    quickly = specs_by_class(SLOWLY)
    plain = apache_beam.transforms.core.CallableWrapperDoFn(len)
    given = apache_beam.transforms.core.CallableWrapperDoFn(Remembers().process)
    assert quickly(plain) == SLOWLY(plain) == (set(), set())
    assert quickly(given) == SLOWLY(given) == ({MEMORY}, set())


def test_beam_asks_by_class():
    assert userstate.get_dofn_specs is not SLOWLY
    assert userstate.get_dofn_specs(Remembers()) == ({MEMORY}, set())
