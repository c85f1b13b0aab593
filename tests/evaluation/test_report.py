from dataclasses import replace

import numpy as np
import pytest

from evaluation import offline, report
from evaluation.gate import Outcome, Verdict
from evaluation.offline import Material
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from infra.store import Store
from tests.evaluation import synthetic

FOLDER = "reports/offline/k"
CONTEXT = Context(price_level=np.zeros(500, np.int8), known_items=np.ones(400, bool))
VERDICT = Verdict(outcome=Outcome.PROMOTE, checks=())


def made(*, min_users=20, followed=None):
    asked, truth = synthetic.questions(users=60)
    if followed is not None:
        icons = replace(asked.icons, followed=np.full_like(asked.icons.followed, followed))
        asked = replace(asked, icons=icons)
    config = EvaluateConfig(replicates=20, min_users=min_users, min_positives=5)
    material = Material(key="k", day="2026-03-12", context=CONTEXT)
    return offline.evaluate(synthetic.predictions(asked, truth), material, config)


@pytest.fixture(scope="module")
def two():
    """Of many users and of too few, under one key: only the first has a picture of slices."""
    return made(), made(min_users=10**6)


def pictures(store):
    return [name for name in store.names(FOLDER) if name.endswith(".png")]


def test_pictures_of_an_earlier_report_under_the_key_are_taken_away(two, tmp_path):
    store = Store(tmp_path)
    for one in two:
        files = report.write(store, one)
        assert pictures(store) == sorted(name for name in files if name.endswith(".png"))
    assert "slices.png" not in pictures(store)
    assert store.get(f"{FOLDER}/report.json")


def test_the_page_with_the_verdict_has_the_pictures_of_its_report_and_no_other(two, tmp_path):
    store, (earlier, now) = Store(tmp_path), two
    report.write(store, earlier)
    left = store.get(f"{FOLDER}/slices.png")
    report.write(store, now)
    before = store.get(f"{FOLDER}/report.html").decode()
    store.put(f"{FOLDER}/slices.png", left)  # by a version that took nothing away
    page = report.add_verdict(store, now, VERDICT)
    assert page.count("<img") == before.count("<img")
    assert [part[:80] for part in page.split("base64,")[1:]] == [
        part[:80] for part in before.split("base64,")[1:]
    ]


def test_pictures_are_drawn_once_where_the_verdict_follows_in_the_same_process(
    two, tmp_path, monkeypatch
):
    store, drawings, drawn = Store(tmp_path), report.plots.drawings, []
    monkeypatch.setattr(
        report.plots, "drawings", lambda one: (drawn.append(one.key), drawings(one))[1]
    )
    report._drawn.cache_clear()
    report.write(store, two[0])
    page = report.add_verdict(store, report.read(store, "k"), VERDICT)
    assert drawn == ["k"]
    assert page.count("<img") == len(pictures(store))


def test_who_was_taken_for_whom_is_a_table_too(two):
    one, _ = two
    rows = report.html(one, {}).partition("Who was taken for whom")[2].partition("</table>")[0]
    for row in one.curves.confusion:
        shares = [f'{count} <span class="range">({100 * count / sum(row):.0f} %)' for count in row]
        assert all(f'<td class="n">{share}' in rows for share in shares)
    assert rows.count("<td") == 49


@pytest.mark.parametrize("followed", [0, 1])
def test_a_task_of_one_class_has_no_roc_curve(followed):
    """It would be a line at chance, as if the model had been measured and knew nothing."""
    one = made(followed=followed)
    assert one.value("fifp_auc") is None
    assert set(one.curves.roc) == {"ctr_auc", "l2r_auc", "l2r_purchase_auc"}
