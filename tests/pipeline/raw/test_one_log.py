"""A home is of one data set: whoever brings another one is told before anything is written."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from features.raw.dataset import load, parse_description
from infra.errors import InputError
from infra.store import Store
from pipeline import steps
from pipeline.nights import nightly
from pipeline.raw import one_log
from pipeline.raw.importing import import_files
from pipeline.settings import load as settings_of

DEMO = date(2026, 3, 2)
ONE = timedelta(days=1)
SHOP = """
name = "shop"
[behaviors]
files = "log*.csv"
format = "csv"
constants = { scenario = "unknown" }
identity = "row"
time = { format = "%Y-%m-%d" }
"""
RANGE = rf"holds days of data set marketplace \({DEMO} to {DEMO + ONE}\), .* shop .*--home"


@pytest.fixture
def home(tmp_path):
    """Two days of the marketplace."""
    store = Store(tmp_path / "home")
    for day in (DEMO, DEMO + ONE):
        publish(store, "raw", day, "marketplace")
    return store


@pytest.fixture
def log(tmp_path):
    """Two days of 2025."""
    return written(tmp_path, "log.csv", "2025-05-04", "2025-05-05")


def written(folder, name, *days):
    rows = "".join(f"u1,i1,click,{day}\n" for day in days)
    (folder / name).write_text(f"user_id,item_id,type,ts\n{rows}")
    return folder / name


def publish(store, stage, day, dataset, *, leaf=("behaviors",)):
    with store.partition(stage, day, *leaf).publish(dataset=dataset) as out:
        out.record([out.write_table("part", pa.table({"user_id": ["u1"]}))])


def shop(**named):
    return parse_description(SHOP, "shop.toml").model_copy(update=named)


@pytest.mark.parametrize("replace", [False, True])
def test_a_log_is_not_imported_into_a_home_of_another(home, log, replace):
    with pytest.raises(InputError, match=RANGE):
        import_files(home, shop(), [log], replace=replace)
    assert home.days("raw", "behaviors") == [DEMO, DEMO + ONE]
    new = [home.names(f"raw/dt={day}/behaviors") for day in home.dates("raw") if day < DEMO]
    assert not any(new)  # nothing of the attempt is left


def test_replacing_every_day_gives_a_home_another_log(home, tmp_path):
    log = written(tmp_path, "log.csv", DEMO, DEMO + ONE, DEMO + 2 * ONE)
    import_files(home, shop(), [log], replace=True)
    one_log.require(home, "shop")


def test_a_changed_description_of_the_same_name_may_import_more(tmp_path, log):
    store = Store(tmp_path)
    import_files(store, shop(), [log])
    later = written(tmp_path, "log2.csv", "2025-05-06")
    import_files(store, shop(text="another"), [later])
    assert len(store.days("raw", "behaviors")) == 3


@pytest.mark.parametrize("replace", [False, True])
def test_a_home_that_holds_two_logs_already_goes_on_with_either(home, tmp_path, replace):
    publish(home, "raw", DEMO + 2 * ONE, "shop")  # renamed before imports were refused
    replaced = DEMO + (2 if replace else 3) * ONE
    import_files(home, shop(), [written(tmp_path, "log.csv", replaced)], replace=replace)
    one_log.require(home, "marketplace")
    with pytest.raises(InputError, match=r"marketplace .* and shop .*: third would share"):
        one_log.require(home, "third")


def test_the_marketplace_does_not_move_into_a_home_of_another_log(tmp_path, log):
    mine = settings_of("smoke", str(tmp_path / "home"))
    import_files(mine.store, shop(), [log])
    said = r"holds days of data set shop \(2025-05-04 to 2025-05-05\).* Give marketplace a home"
    with pytest.raises(InputError, match=said):
        steps.simulate(mine, DEMO, 1)
    assert mine.store.dates("raw") == [date(2025, 5, 4), date(2025, 5, 5)]


def test_a_product_table_alone_is_no_second_log(home, tmp_path):
    (tmp_path / "items.csv").write_text("item_id\ni1\n")
    described = parse_description('name = "goods"\n[items]\nformat = "csv"\n', "goods.toml")
    import_files(home, described, [f"items={tmp_path}/items.csv"])
    assert home.days("raw", "items") == [DEMO]


def test_an_initial_run_is_refused_in_a_home_of_another_log(home, tmp_path):
    (tmp_path / "shop.toml").write_text(SHOP)
    mine = settings_of("smoke", str(home.root), [f"dataset={tmp_path}/shop.toml"])
    with pytest.raises(InputError, match=RANGE):
        steps.data_days(mine, date(2025, 5, 4), date(2025, 5, 4))


def test_events_tell_of_another_log_where_raw_is_gone(tmp_path):
    store = Store(tmp_path)
    publish(store, "events", DEMO, "marketplace")
    with pytest.raises(InputError, match=rf"marketplace \({DEMO}\)"):
        one_log.require(store, "shop")


def test_plain_files_are_of_whatever_log_is_set(tmp_path):
    store = Store(tmp_path)
    store.put(f"raw/dt={DEMO}/behaviors/log.csv", "user_id,item_id,type,ts\n")
    publish(store, "events", DEMO, "marketplace")  # read before there was a description
    one_log.require(store, "shop")


def test_pages_of_the_service_are_no_second_log(tmp_path, log):
    store = Store(tmp_path)
    store.put(f"raw/dt={DEMO}/impressions/served-1.jsonl", "{}\n")
    import_files(store, shop(), [log])
    one_log.require(store, "shop")
    one_log.require(Store(tmp_path / "empty"), load("marketplace").name)


def test_a_night_of_another_log_than_the_day_before_is_refused_at_once(tmp_path):
    (tmp_path / "shop.toml").write_text(SHOP)
    mine = settings_of("smoke", str(tmp_path), [f"dataset={tmp_path}/shop.toml"])
    publish(mine.store, "events", DEMO - ONE, "shop")  # an older day of its own decides nothing
    publish(mine.store, "events", DEMO, "marketplace")
    with pytest.raises(InputError, match=rf"marketplace \({DEMO}\), and one home holds one log"):
        nightly.begin(mine, DEMO + ONE, "r1")
    assert nightly.read(mine, DEMO + ONE) is None
    publish(mine.store, "events", DEMO, "shop")
    publish(mine.store, "samples", DEMO, "shop", leaf=())
    nightly.begin(mine, DEMO + ONE, "r1")
