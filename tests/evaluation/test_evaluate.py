from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from evaluation import evaluate, questions
from evaluation.evaluate import Background
from evaluation.gate import GateConfig, decide
from evaluation.settings import EvaluateConfig
from evaluation.slices import candidate_parts
from features import catalog
from tests.training.conftest import FIRST, write_store
from tests.training.small import TINY
from training.data import Samples
from training.model.dupn import Dupn

DAY = FIRST + timedelta(days=1)
CONFIG = EvaluateConfig(replicates=50)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("evaluate"), days=2, moments=200)


def untrained(store, seed) -> Dupn:
    torch.manual_seed(seed)
    return Dupn(TINY, Samples(store, [FIRST]).sizes)


def background() -> Background:
    return Background("dupn-2026-03-02", [FIRST], {"line": "dupn"}, {})


def test_a_day_of_samples_and_a_model_make_a_report(store):
    found = evaluate.run(untrained(store, 0), store, DAY, background(), CONFIG)
    assert found.comparison is None
    report = found.report
    assert report.counts["moments"] == 200
    names = {figure.name for figure in report.figures}
    assert {"ctr_auc", "l2r_auc_logistic_regression", "ppp_precision_max_entropy"} <= names
    assert {"shuffled_properties_cost", "shuffled_query_cost", "fifp_auc", "ctr_ece"} <= names
    assert {part.part for part in report.slices if part.dimension == "user"} == {"new"}


def test_a_champion_answers_the_same_questions(store):
    model = untrained(store, 0)
    found = evaluate.run(model, store, DAY, background(), CONFIG, champion=model)
    assert found.comparison is not None
    assert found.comparison.ctr.value == 0
    gate = GateConfig(floors={}, max_calibration_error=1)
    evidence = found.report.evidence
    assert decide(evidence, evidence, found.comparison, [], gate).promoted


def test_the_same_model_and_day_give_the_same_bytes(store):
    one, two = (
        evaluate.run(untrained(store, 1), store, DAY, background(), CONFIG).report.model_dump_json()
        for _ in range(2)
    )
    assert one == two


def of_derived_moments(store, day, negatives):
    """Publish the samples of a day again, as if its log had no pages."""
    partition = store.partition("samples", day)
    table = partition.table().combine_chunks()
    clicked = table["cand_clicked"].chunk(0)
    origin = pa.ListArray.from_arrays(
        clicked.offsets,
        pc.subtract(pa.scalar(3, pa.int8()), clicked.values),
        mask=clicked.is_null(),
    )
    place = table.schema.get_field_index("cand_origin")
    table = table.set_column(place, table.schema.field(place), origin)
    with partition.publish(price_offers=True, negatives=negatives) as out:
        out.record([out.write_table("part-0", table)])


def test_a_report_says_by_which_protocol_its_days_drew_negatives(tmp_path):
    store = write_store(tmp_path, days=4, moments=60)
    days = [FIRST + timedelta(days=k) for k in range(4)]
    for day, negatives in zip(days, ("same-day", "same-day", "mimn", "uniform"), strict=True):
        of_derived_moments(store, day, negatives)
    known = Background("dupn-2026-03-04", days[:3], {"line": "dupn"}, {})
    report = evaluate.run(untrained(store, 0), store, days[3], known, CONFIG).report
    said = report.protocol["Negatives"]
    assert said.startswith("uniform: drawn from the catalog")
    assert said.endswith("training days: same-day on 2026-03-02 to 2026-03-03, mimn on 2026-03-04")
    assert report.tasks[0].protocol == "next day; derived moments, uniform"
    assert "same category" not in report.model_dump_json()
    alike = Background("dupn-2026-03-03", days[:1], {"line": "dupn"}, {})
    report = evaluate.run(untrained(store, 0), store, days[1], alike, CONFIG).report
    assert "training days" not in report.protocol["Negatives"]


def test_an_item_that_only_later_days_had_met_is_new_though_its_row_is_not_the_last(tmp_path):
    """The last training day was built again: rows of the evaluated day's items are among its."""
    store = write_store(tmp_path, days=2, moments=60)
    items, asked = catalog.load(store, DAY), questions.read(store, DAY)
    context = evaluate.context_of(store, items, [FIRST])
    assert counted(asked, context) == {"known before the day": len(asked.candidates.item)}
    later = np.unique(asked.candidates.item)[:9]
    index = store.partition("catalog", FIRST, catalog.INDEX)
    rows = index.table()
    met = rows.filter(pa.array(~np.isin(rows["row"].to_numpy(), later)))
    with index.publish() as out:
        out.record([out.write_table("part", met)])
    new = np.isin(asked.candidates.item, later)
    context = evaluate.context_of(store, items, [FIRST])
    found = counted(asked, context)
    assert found == {"known before the day": (~new).sum(), "new on the day": new.sum()}


def counted(asked, context):
    """Candidates in each part by item that has any."""
    parts = candidate_parts(asked, context, ())
    sizes = {part.name: part.keep.sum() for part in parts if part.dimension == "item"}
    return {name: count for name, count in sizes.items() if count}
