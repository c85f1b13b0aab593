"""What a worker raises reaches the front door as itself, wherever the worker runs."""

import apache_beam
import pytest

from infra.errors import PartitionCorrupt, StoreError
from infra.store import Attempt, Store
from pipeline.beam import BeamConfig, own_error, pipeline
from tests.disks import disk, files_up_to

HERE = BeamConfig()
APART = BeamConfig(runner="multiprocess", workers=2)
BIG = 2**20


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
