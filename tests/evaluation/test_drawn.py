"""A report names the protocol by which its negatives were drawn."""

from datetime import date

import pyarrow as pa
import pytest

from evaluation import drawn, offline
from evaluation.tasks import Others
from infra.store import Store
from tests.evaluation import synthetic
from tests.evaluation.test_offline import CONFIG, material


@pytest.mark.parametrize(
    ("negatives", "kinds", "sentence", "figure"),
    [
        (
            "same-day",
            (3, 4),
            "other users clicked that day (any category; beside it",
            "same-day any",
        ),
        ("same-day", (3,), "other users clicked that day (any category)", "same-day any"),
        ("uniform", (3,), "the catalog, each item as likely as any", "uniform"),
        ("popularity", (3,), "as likely as clicked on the days before", "popularity"),
        ("mimn", (3,), "one for each click", "mimn"),
        ("", (3,), "drawn; the samples do not say how", "derived moments"),
    ],
)
def test_a_report_says_which_negatives_were_drawn(negatives, kinds, sentence, figure):
    asked, truth = synthetic.questions(users=20, derived=True, kinds=kinds)
    of_day = material(truth, asked, others=Others(negatives=negatives))
    found = offline.evaluate(synthetic.predictions(asked, truth), of_day, CONFIG)
    assert found.protocol["Negatives"].startswith(negatives)
    assert sentence in found.protocol["Negatives"]
    (headline_of,) = [one.protocol for one in found.figures if one.name == "ctr_auc"]
    assert headline_of.endswith(figure)
    told = found.model_dump_json()
    assert ("same category" in told) == ("ctr_auc_same_category" in told) == (4 in kinds)


def test_days_of_another_protocol_are_told_and_those_that_do_not_say_are_none(tmp_path):
    store, days = Store(tmp_path), [date(2026, 3, day) for day in range(2, 8)]
    said = [{}, *({"negatives": name} for name in ("uniform", "uniform", "same-day", "mimn")), {}]
    for day, lineage in zip(days, said, strict=True):
        with store.partition("samples", day).publish(**lineage) as out:
            out.record([out.write_table("part", pa.table({"x": [1]}))])
    told = "uniform on 2026-03-03 to 2026-03-04"
    assert drawn.others(store, days, "same-day") == f"{told}, mimn on 2026-03-06"
    assert drawn.others(store, days, "mimn") == f"{told}, same-day on 2026-03-05"
    assert drawn.others(store, [days[0], days[-1]], "same-day") == ""
