"""The real logs beside the repository go through the chain: what they lack switches off no more.

Taobao has no pages, prices, shops, brands, profiles or queries; Tmall has shops and knows only the
day; REES46 has prices and one day. The whole Taobao excerpt: `test_real_taobao`.
"""

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from pipeline import chain, steps
from pipeline.release import standing
from pipeline.settings import load

LOGS = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TAOBAO = LOGS / "taobao_userbehavior" / "UserBehavior.csv"
FIRST = date(2017, 11, 25)
TINY = (
    "beam.buckets=4", "train.threads=1", "train.epochs=1", "evaluate.replicates=50",
    "canary.requests=8", "model.hidden_dim=32", "model.user_dim=16", "model.attention_dim=16",
    "model.query_dim=8", "gate.floors.ctr_auc=0.0", "gate.floors.l2r_auc=0.0",
    "gate.max_calibration_error=1.0",
)  # fmt: skip
DATA = ("events", "vocabulary", "statistics", "sequences", "samples")

pytestmark = pytest.mark.skipif(not LOGS.exists(), reason="the real logs are not on this machine")


@pytest.fixture(scope="module")
def some_users(tmp_path_factory):
    """The chain on every fourth user and the first three days, with a network of no ambition."""
    folder = tmp_path_factory.mktemp("taobao")
    log = folder / "UserBehavior.csv"
    lines = TAOBAO.read_text().splitlines()
    log.write_text("\n".join(line for line in lines if int(line.partition(",")[0]) % 4 == 0))
    settings = load("taobao", str(folder / "home"), TINY)
    steps.import_log(settings, "taobao_userbehavior", [log])
    return settings, chain.initial(settings, FIRST, 2)


@pytest.mark.drill
def test_a_log_of_clicks_alone_becomes_a_champion_that_answers(some_users):
    settings, verdict = some_users
    assert verdict["promoted"], verdict
    assert standing.status(settings)["aliases"] == {"champion": "1"}


@pytest.mark.drill
def test_its_report_says_how_negatives_were_drawn_and_what_is_not_asked(some_users):
    settings, verdict = some_users
    report = json.loads(settings.store.get(f"reports/offline/{verdict['run']}/report.json"))
    tasks = {task["name"]: task for task in report["tasks"]}
    assert "derived moments, same-day any" in tasks["ctr_auc"]["protocol"]
    assert "same-day same-category" in tasks["ctr_auc_same_category"]["protocol"]
    assert {"category_recency", "seen_before", "popularity"} <= {
        rival["name"] for rival in tasks["ctr_auc_same_category"]["rivals"]
    }
    for off in ("ppp_precision", "fifp_auc", "spp_auc"):
        assert "not asked" in tasks[off]["reason"]


def samples_of(home, dataset, files, days):
    """Counts of the last day's samples; every day passes quality."""
    settings = load("smoke", str(home), [f"dataset={dataset}"])
    steps.import_log(settings, dataset, files)
    counts = {}
    for day in days:
        for step in DATA:
            counts = getattr(steps, step)(settings, day)
        steps.quality(settings, day, "events")
        steps.quality(settings, day, "samples")
    return counts


def test_a_log_of_days_with_shops_asks_which_shop(tmp_path):
    log = LOGS / "tmall_ijcai15" / "user_log_format1.csv"
    days = [date(2014, 11, 9) + timedelta(days=i) for i in range(3)]
    counts = samples_of(tmp_path, "tmall_ijcai15", [log], days)
    assert counts["ctr"] > 0
    assert counts["spp"] > 0


def test_a_log_with_prices_asks_for_price_levels_from_its_second_day_on(tmp_path):
    """The excerpt has one day; what came after 02:30 is moved to the next."""
    log = tmp_path / "2019-Oct.csv"
    text = (LOGS / "rees46_2019oct" / "2019-Oct.csv").read_text()
    log.write_text(re.sub(r"^2019-10-01 (?=02:[345])", "2019-10-02 ", text, flags=re.MULTILINE))
    days = [date(2019, 10, 1), date(2019, 10, 2)]
    counts = samples_of(tmp_path / "home", "rees46", [log], days)
    assert counts["ctr"] > 0
    assert counts["ppp"] > 0
