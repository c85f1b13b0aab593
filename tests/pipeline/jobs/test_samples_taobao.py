"""Derived moments on the real Taobao excerpt: negatives give nothing away (DESIGN.md).

Figures of the protocol `same-day`, known from prototypes: popularity 0.500, "seen before" 0.629
(same category 0.624), category recency 0.869.
"""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from features import ranking
from features.events import EventsConfig
from features.items.statistics import StatisticsConfig
from features.raw.dataset import load
from features.samples import SamplesConfig
from features.schemas import CandidateOrigin
from features.sequence import SequencesConfig
from features.vocabulary import VocabularyConfig
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events, samples, sequences, statistics, vocabulary

LOG = (
    Path(__file__).resolve().parents[3].parent / "shared/data/taobao_userbehavior/UserBehavior.csv"
)
FIRST = date(2017, 11, 25)
COLUMNS = ["user", "item", "category", "type", "ts"]

pytestmark = pytest.mark.skipif(not LOG.exists(), reason="the excerpt is not on this machine")


def build(home: Path, days: int) -> Store:
    store, beam = Store(home), BeamConfig(buckets=2)
    dataset = load("taobao_userbehavior")
    log = pl.read_csv(
        LOG,
        has_header=False,
        new_columns=COLUMNS,
        ignore_errors=True,
        truncate_ragged_lines=True,
    ).drop_nulls()
    local = pl.from_epoch("ts").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Shanghai")
    for day in [FIRST + timedelta(days=n) for n in range(days)]:
        folder = home / "raw" / f"dt={day}" / "behaviors"
        folder.mkdir(parents=True)
        log.filter(local.dt.date() == day).write_csv(folder / "rows.csv", include_header=False)
        events.run(store, day, dataset=dataset, config=EventsConfig(), beam=beam)
        vocabulary.run(store, day, config=VocabularyConfig(), beam=beam)
        statistics.run(store, day, config=StatisticsConfig(), beam=beam)
        zone = dataset.time_zone
        sequences.run(store, day, config=SequencesConfig(), time_zone=zone, beam=beam)
        samples.run(store, day, config=SamplesConfig(), time_zone=zone, beam=beam, seed=7)
    return store


def areas(store: Store, day: date, origin: CandidateOrigin):
    """AUC of every ranking feature on a day, against one kind of negatives."""
    table = store.partition("samples", day).table()
    flat = {
        name: table.column(name).combine_chunks().flatten()
        for name in ("cand_clicked", "cand_origin", "cand_features")
    }
    kind, clicked = flat["cand_origin"].to_numpy(), flat["cand_clicked"].to_numpy()
    values = flat["cand_features"].flatten().to_numpy().reshape(len(kind), len(ranking.NAMES))
    asked = np.isin(kind, (CandidateOrigin.CLICKED, origin))
    found = {
        name: roc_auc_score(clicked[asked], values[asked, index])
        for index, name in enumerate(ranking.NAMES)
    }
    seen = values[asked, ranking.NAMES.index("item_count")] > 0
    return {**found, "seen": roc_auc_score(clicked[asked], seen)}


def check(store: Store, day: date) -> None:
    category, same = (
        areas(store, day, origin)
        for origin in (CandidateOrigin.SAME_DAY, CandidateOrigin.SAME_CATEGORY)
    )
    for blind in ("popularity", "unseen_item", "freshness"):
        assert category[blind] == pytest.approx(0.5, abs=0.02)
    assert 0.58 < category["seen"] < 0.66
    assert 0.58 < same["seen"] < 0.66
    assert category["category_recency"] > 0.8
    assert 0.44 < same["category_recency"] < 0.56


def test_negatives_of_the_same_day_give_nothing_away(tmp_path):
    check(build(tmp_path, 3), FIRST + timedelta(days=2))


@pytest.mark.drill
def test_nine_days_give_the_known_yardsticks(tmp_path):
    last = FIRST + timedelta(days=8)
    store = build(tmp_path, 9)
    check(store, last)
    found = areas(store, last, CandidateOrigin.SAME_DAY)
    assert found["seen"] == pytest.approx(0.629, abs=0.01)
    assert found["category_recency"] == pytest.approx(0.869, abs=0.015)
