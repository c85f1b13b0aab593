"""What the seed of the samples decides, and what it does not."""

import shutil
from pathlib import Path

from features.samples import SamplesConfig
from infra.store import Store
from pipeline.beam import BeamConfig
from pipeline.jobs import samples
from tests.samples_log import DAYS, ZONE


def asked(store):
    rows = store.partition("samples", DAYS[-1]).table(columns=["sample_id", "cand_item"])
    return {row["sample_id"]: row["cand_item"] or [] for row in rows.to_pylist()}


def test_another_seed_draws_other_negatives_of_the_same_clicks(clicks, tmp_path):
    store = Store(tmp_path / "again")
    shutil.copytree(Path(clicks.root), store.root)
    found = {}
    for seed in (7, 8):
        config, beam = SamplesConfig(), BeamConfig(buckets=3)
        samples.run(store, DAYS[-1], config=config, time_zone=ZONE, beam=beam, seed=seed)
        found[seed] = asked(store)
    assert found[7] == asked(clicks)
    assert found[8].keys() == found[7].keys()
    assert all(items[:1] == found[7][one][:1] for one, items in found[8].items())  # the clicked one
    drawn = [(one, item) for one, items in found[8].items() for item in items[1:]]
    others = sum(item not in found[7][one] for one, item in drawn)
    assert others > len(drawn) / 2 > 10
