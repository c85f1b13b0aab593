import pickle
import subprocess
import sys

import pyarrow as pa
import pytest

from infra.errors import ConfigError
from pipeline.beam import parcels
from pipeline.beam.parcels import BYTES, Parcels
from pipeline.beam.runner import BeamConfig

TABLE = pa.table({"user_id": ["a", "b", "c"], "ts": [1, 2, 3]})


@pytest.mark.parametrize("runner", ["inprocess", "multiprocess"])
def test_what_is_packed_comes_out_again_as_often_as_it_is_asked_for(runner):
    with Parcels.of(BeamConfig(runner=runner)) as by:
        parcel = pickle.loads(pickle.dumps(by)).pack(TABLE.slice(1))
        assert by.unpack(parcel).equals(TABLE.slice(1))
        assert by.unpack(parcel).equals(TABLE.slice(1))


def test_a_table_stays_where_it_is_within_a_process_and_is_let_go_at_the_end():
    with Parcels.of(BeamConfig()) as by:
        assert by.unpack(by.pack(TABLE)) is TABLE
        assert parcels._SHELVES
    assert not parcels._SHELVES


def test_a_slice_travels_without_the_rest_of_its_table():
    whole = pa.table({"text": [f"{i:0100d}" for i in range(1_000)]})
    assert len(BYTES.pack(whole.slice(10, 5))) < 3_000


def test_a_ticket_in_another_process_is_a_sentence():
    with Parcels.of(BeamConfig()) as by:
        sent = pickle.dumps((by, by.pack(TABLE)))
        code = f"import pickle; by, parcel = pickle.loads({sent!r}); by.unpack(parcel)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    assert f"{ConfigError.__name__}: beam.options puts workers into other processes" in done.stderr
