"""Negatives of a log without pages, when counts have faded."""

from collections import defaultdict

import pyarrow as pa

from features.buckets import hash_ids
from features.items.statistics import StatisticsConfig
from features.vocabulary import VocabularyConfig
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import closing
from pipeline.jobs import statistics as statistics_job
from pipeline.jobs import vocabulary as vocabulary_job
from tests.pipeline.jobs.market_days import Market, days, write

BEAM = BeamConfig(buckets=2)
CONFIG = StatisticsConfig(half_life_days=0.6)
DAYS = days(4)


def test_an_item_of_long_ago_is_no_negative_and_no_click_of_it_is_learnt(tmp_path):
    """That nobody looks for what is no longer sold would otherwise be most of what is learnt."""
    store, market = (
        Store(tmp_path),
        Market(items=400, behaviors=100, has_pages=False, snapshot_every=0),
    )
    weight = defaultdict(float)
    for day in DAYS:
        tables = market.day(day)
        write(store, day, tables)
        vocabulary_job.run(store, day, config=VocabularyConfig(), beam=BEAM)
        statistics_job.run(store, day, config=CONFIG, beam=BEAM)
        if day < DAYS[-1]:
            for item in tables["behaviors"].column("item_id").to_pylist():
                weight[item] += CONFIG.decay ** (DAYS[-2] - day).days
    known = [item for item, found in weight.items() if found >= 0.5]
    assert len(weight) - len(known) > 20
    sample = store.partition("statistics", DAYS[-1], "lr_sample").table()
    drawn = closing._with_negatives(store, DAYS[-1], sample, CONFIG)
    kept, clicked = set(hash_ids(pa.array(known)).tolist()), drawn.column("clicked").to_numpy()
    assert set(drawn.column("item_hash").to_pylist()) <= kept
    clicks = [item in kept for item in sample.column("item_hash").to_pylist()]
    assert 0 < clicked.sum() == sum(clicks) < len(clicks)
