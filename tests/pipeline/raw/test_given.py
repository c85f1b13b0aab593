"""Files of JSON lines whose writer leaves out what a row has not."""

import json
from datetime import date

import pytest

from features.raw.dataset import parse_description
from infra.errors import ConfigError
from infra.store import Store
from pipeline.jobs import events
from pipeline.raw.importing import import_files

DAY = date(2026, 11, 1)
START = 1_793_491_200_000
MINE = """\
name = "mine"
[behaviors]
files = "*.jsonl"
format = "jsonl"
[behaviors.map]
user_id = "uid"
price = "amount"
"""
CLICK = {"uid": "u", "item_id": "i", "type": "click", "ts": START}
BOUGHT = CLICK | {"type": "purchase", "amount": 9.5}


def written(folder, **files):
    paths = [folder / f"{name}.jsonl" for name in files]
    for path, rows in zip(paths, files.values(), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return paths


def test_a_column_that_is_not_needed_stands_in_one_of_the_files(tmp_path):
    paths = written(tmp_path, clicks=[CLICK] * 2, purchases=[BOUGHT])
    store = Store(tmp_path / "home")
    for files in (paths, paths[::-1]):
        told = import_files(store, parse_description(MINE, "mine.toml"), files)
        assert told["behaviors_rows"] == 3
    counts = events.run(store, DAY)
    assert (counts["behaviors_kept"], counts["behaviors_duplicate"]) == (2, 1)
    prices = store.partition("events", DAY, "behaviors").table()["price"].to_pylist()
    assert sorted(prices, key=str) == [9.5, None]


@pytest.mark.parametrize(
    ("wrong", "line", "said"),
    [
        ('price = "amont"', 7, "none of clicks.jsonl, purchases.jsonl has a column 'amont' for "),
        ('price = "amount"\nshop_id = "shop"', 8, "none of .* has a column 'shop' for shop_id in "),
        ('price = "amount"\nts = "at"', 8, "clicks.jsonl has no column 'at' for ts; it has 'uid'"),
        ('price = "amount"\ntype = "amount"', 8, "clicks.jsonl has no column 'amount' for type"),
    ],
)
def test_one_that_none_of_them_has_is_refused_with_its_line(tmp_path, wrong, line, said):
    paths = written(tmp_path, clicks=[CLICK] * 2, purchases=[BOUGHT])
    dataset = parse_description(MINE.replace('price = "amount"', wrong), "mine.toml")
    with pytest.raises(ConfigError, match=rf"^mine\.toml line {line}: behaviors\.map\..*{said}"):
        import_files(Store(tmp_path / "home"), dataset, paths)
    assert Store(tmp_path / "home").days("raw", "behaviors") == []


def test_a_single_file_that_lacks_it_is_refused_as_one_of_csv_is(tmp_path):
    dataset = parse_description(MINE, "mine.toml")
    said = r"line 7: .*price: clicks\.jsonl has no column 'amount' for price; it has 'uid', .*these"
    with pytest.raises(ConfigError, match=said):
        import_files(Store(tmp_path / "home"), dataset, written(tmp_path, clicks=[CLICK]))
    paths = written(tmp_path, purchases=[BOUGHT])
    (tmp_path / "clicks.csv").write_text(f"uid,item_id,type,ts\nu,i,click,{START}\n")
    with pytest.raises(ConfigError, match=r"line 7: .*clicks\.csv has no column 'amount' for pri"):
        import_files(
            Store(tmp_path / "home"), dataset, [*paths, f"behaviors={tmp_path / 'clicks.csv'}"]
        )


def test_an_event_is_told_by_an_id_that_every_file_has(tmp_path):
    text = MINE.replace("[behaviors.map]", 'identity = "event_id"\n[behaviors.map]\nevent_id = "e"')
    paths = written(tmp_path, clicks=[CLICK], purchases=[BOUGHT | {"e": 1}])
    with pytest.raises(ConfigError, match=r"line 7: .*clicks\.jsonl has no column 'e' for event_i"):
        import_files(Store(tmp_path / "home"), parse_description(text, "mine.toml"), paths)
