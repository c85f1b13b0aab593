import csv
import gzip
from collections import Counter
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.raw.dataset import load, parse_description
from infra.errors import ConfigError, InputError
from infra.store import Store
from pipeline.jobs import events
from pipeline.raw import writer
from pipeline.raw.given import read_blocks
from pipeline.raw.importing import import_files
from pipeline.raw.writer import Source

DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"
TAOBAO = DATA / "taobao_userbehavior" / "UserBehavior.csv"
TMALL = DATA / "tmall_ijcai15" / "user_log_format1.csv"
REES46 = DATA / "rees46_2019oct" / "2019-Oct.csv"
real = pytest.mark.skipif(not DATA.exists(), reason="the real logs are not on this machine")


def imported(tmp_path, name, file):
    store = Store(tmp_path)
    return store, import_files(store, load(name), [file])


def raw_rows(store):
    days = store.days("raw", "behaviors")
    return {day: store.partition("raw", day, "behaviors").table() for day in days}


@real
def test_taobao_becomes_nine_days(tmp_path):
    store, counts = imported(tmp_path, "taobao_userbehavior", TAOBAO)
    assert counts == {
        "first_day": "2017-11-25",
        "last_day": "2017-12-03",
        "behaviors_days": 9,
        "behaviors_rows": 84_476,
    }
    days = raw_rows(store)
    assert min(days) == date(2017, 11, 25)
    assert max(days) == date(2017, 12, 3)
    total = Counter(events.run(store, min(days)))
    rest = sum(days[day].num_rows for day in sorted(days)[1:])
    assert total["behaviors_read"] + rest == 84_476
    assert total["behaviors_rejected_stray_day"] == 35
    assert total["behaviors_rejected_bad_columns"] == 1
    assert total["behaviors_kept"] + rest == 84_440
    cut = store.partition("rejects", date(2017, 11, 25)).table().to_pylist()[-1]
    assert (cut["source"], cut["line"]) == ("UserBehavior.csv", 84_476)
    assert cut["text"] == "100370,1968385,1875258,pv"


@real
def test_every_line_of_taobao_is_in_raw_as_it_was(tmp_path):
    store, _ = imported(tmp_path, "taobao_userbehavior", TAOBAO)
    found = {}
    for rows in raw_rows(store).values():
        names = ["user_id", "item_id", "category_id", "behavior", "timestamp"]
        for row in rows.to_pylist():
            found[row["_line"]] = row["_text"] or ",".join(row[name] for name in names)
    lines = TAOBAO.read_text().splitlines()
    assert [found[n] for n in range(1, len(lines) + 1)] == lines


@real
def test_tmall_keeps_repeat_clicks_of_a_day(tmp_path):
    store, counts = imported(tmp_path, "tmall_ijcai15", TMALL)
    assert counts == {
        "first_day": "2014-05-11",
        "last_day": "2014-11-11",
        "behaviors_days": 184,
        "behaviors_rows": 10_000,
    }
    day = date(2014, 11, 11)
    total = events.run(store, day)
    with TMALL.open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["time_stamp"] == "1111"]
    assert total["behaviors_read"] == total["behaviors_kept"] == len(rows)
    found = store.partition("events", day, "behaviors").table()
    brands = Counter(row["brand_id"].removesuffix(".0") or None for row in rows)
    assert Counter(found["brand_id"].to_pylist()) == brands
    kinds = Counter({"0": 1, "1": 3, "2": 4, "3": 2}[row["action_type"]] for row in rows)
    assert Counter(found["type"].to_pylist()) == kinds
    assert {ts.isoformat() for ts in found["ts"].to_pylist()} == {"2014-11-10T16:00:00+00:00"}


@real
def test_rees46_loses_its_cut_line_and_its_copies(tmp_path):
    store, counts = imported(tmp_path, "rees46", REES46)
    assert counts == {
        "first_day": "2019-10-01",
        "last_day": "2019-10-01",
        "behaviors_days": 1,
        "behaviors_rows": 17_435,
    }
    total = events.run(store, date(2019, 10, 1))
    lines = REES46.read_text().splitlines()[1:-1]
    assert len(lines) == 17_434
    assert total["behaviors_kept"] == len(set(lines))
    assert total["behaviors_duplicate"] == 17_434 - len(set(lines))
    assert total["behaviors_rejected_bad_columns"] == total["behaviors_rejected"] == 1
    found = store.partition("events", date(2019, 10, 1), "behaviors").table()
    assert Counter(found["type"].to_pylist())[4] == len({x for x in lines if ",purchase," in x})
    assert found["price"].null_count == 0
    assert found["brand_id"].null_count > 0


@real
@pytest.mark.drill
def test_all_days_of_all_real_logs_add_up(tmp_path):
    kept = {}
    for name, file in (("tmall_ijcai15", TMALL), ("taobao_userbehavior", TAOBAO)):
        store, _ = imported(tmp_path / name, name, file)
        total = Counter()
        for day in store.days("raw", "behaviors"):
            total.update(events.run(store, day))
        kept[name] = total["behaviors_kept"]
    assert kept == {"tmall_ijcai15": 10_000, "taobao_userbehavior": 84_440}


MINE = """\
name = "mine"
time_zone = "Asia/Shanghai"
[behaviors]
files = "actions_*.csv*"
format = "csv"
delimiter = "|"
ignore_types = ["4", "5"]
nulls = ["", "NULL"]
[behaviors.map]
user_id = "member"
item_id = "sku"
type = "act"
ts = "when"
[behaviors.constants]
scenario = "recommend"
[behaviors.types]
1 = "click"
2 = "bookmark"
3 = "cart"
6 = "purchase"
[behaviors.time]
format = "%d.%m.%Y %H:%M"
[items]
files = "products.csv"
format = "csv"
[items.map]
item_id = "sku"
brand_id = "brand"
category_id = "cat"
tags = "words"
[items.separators]
tags = ";"
[users]
files = "members.txt"
format = "csv"
delimiter = "\\t"
encoding = "gb18030"
[users.map]
user_id = "member"
city = "city"
"""


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    acts = [f"m{i % 3}|s{i % 4}|{i % 6 + 1}|0{i % 2 + 1}.11.2026 08:{i:02d}" for i in range(24)]
    text = "\n".join(["member|sku|act|when", *acts, "m9|NULL|1|01.11.2026 08:00"]) + "\n"
    (folder / "actions_1.csv.gz").write_bytes(gzip.compress(text.encode()))
    products = 'sku,brand,cat,words,price\ns0,b0,c0,"red;big",1.5\ns1,b1,c1,,\n'
    (folder / "products.csv").write_text(products)
    members = "member\tcity\nm0\t\u5317\u4eac\nm1\t\u4e0a\u6d77\n"
    (folder / "members.txt").write_bytes(members.encode("gb18030"))
    return sorted(folder.iterdir())


def test_another_log_needs_no_code(tmp_path, mine):
    store = Store(tmp_path / "home")
    dataset = parse_description(MINE, "mine.toml")
    counts = import_files(store, dataset, mine)
    assert counts["behaviors_rows"] == 25
    assert (counts["first_day"], counts["last_day"]) == ("2026-11-01", "2026-11-02")
    first, second = store.days("raw", "behaviors")
    assert (first, second) == (date(2026, 11, 1), date(2026, 11, 2))
    assert store.days("raw", "items") == store.days("raw", "users") == [first]
    total = Counter(events.run(store, first)) + Counter(events.run(store, second))
    assert total["behaviors_kept"] == 16
    assert total["behaviors_ignored"] == 8
    assert total["behaviors_ignored_4"] == total["behaviors_ignored_5"] == 4
    assert total["behaviors_rejected_missing_id"] == 1
    items = {r["item_id"]: r for r in store.partition("events", first, "items").table().to_pylist()}
    assert items["s0"]["brand_id"] == "b0"
    assert items["s0"]["tags"] == ["red", "big"]
    assert items["s1"]["price"] is None
    users = store.partition("events", first, "users").table().to_pylist()
    assert {u["user_id"]: u["city"] for u in users} == {"m0": "\u5317\u4eac", "m1": "\u4e0a\u6d77"}
    kept = store.partition("events", first, "behaviors").table()
    assert set(kept["scenario"].to_pylist()) == {2}
    assert min(kept["ts"].to_pylist()).isoformat() == "2026-11-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("before", "after", "line", "about"),
    [
        ('brand_id = "brand"', 'brand_id = "maker"', 28, "'maker'"),
        ('6 = "purchase"', "", 16, "'act'"),
        ('encoding = "gb18030"', 'encoding = "ascii"', 37, "ascii"),
    ],
)
def test_a_wrong_description_writes_nothing(tmp_path, mine, before, after, line, about):
    store = Store(tmp_path / "home")
    dataset = parse_description(MINE.replace(before, after), "mine.toml")
    with pytest.raises(ConfigError, match=about) as error:
        import_files(store, dataset, mine)
    assert f"mine.toml line {line}:" in str(error.value)
    assert not (tmp_path / "home").exists()


def test_a_file_is_matched_by_name_or_told(tmp_path, mine):
    dataset = parse_description(MINE, "mine.toml")
    odd = tmp_path / "odd.csv"
    odd.write_bytes(gzip.decompress(mine[0].read_bytes()))
    with pytest.raises(ConfigError, match=r"behaviors=.*odd\.csv"):
        import_files(Store(tmp_path), dataset, [odd])
    counts = import_files(Store(tmp_path), dataset, [f"behaviors={odd}"])
    assert (counts["behaviors_days"], counts["behaviors_rows"]) == (2, 25)
    with pytest.raises(InputError, match="not a file"):
        import_files(Store(tmp_path), dataset, [tmp_path / "gone.csv"])


def test_days_are_replaced_by_the_same_files_only(tmp_path, mine):
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    import_files(store, dataset, mine)
    before = {day: rows.num_rows for day, rows in raw_rows(store).items()}
    import_files(store, dataset, mine)
    assert {day: rows.num_rows for day, rows in raw_rows(store).items()} == before
    other = mine[0].with_name("actions_2.csv.gz")
    other.write_bytes(mine[0].read_bytes())
    with pytest.raises(InputError, match="already holds rows"):
        import_files(store, dataset, [other])
    assert import_files(store, dataset, [other], replace=True)["behaviors_rows"] == 25


def test_read_in_another_zone_a_log_leaves_no_day_that_it_no_longer_has(tmp_path, caplog):
    store = Store(tmp_path / "home")
    log = tmp_path / "actions_1.csv"
    log.write_text("member|sku|act|when\nm0|s0|1|1793466000\nm1|s1|1|1793491200\n")
    by = MINE.replace('format = "%d.%m.%Y %H:%M"', 'unit = "s"')
    own = {"request_id": ["r"], "user_id": ["u"], "ts": [0], "item_ids": [["i"]]}
    for day in (date(2026, 10, 30), date(2026, 11, 1)):  # of no file that is read again
        with store.partition("raw", day, "impressions").publish(dataset="mine") as out:
            out.record([out.write_table("_part", pa.table(own))])
    utc = parse_description(by.replace("Asia/Shanghai", "UTC"), "mine.toml")
    import_files(store, utc, [log])
    assert store.days("raw", "behaviors") == [date(2026, 10, 31), date(2026, 11, 1)]
    served = tmp_path / "home" / "raw" / "dt=2026-10-31" / "behaviors" / "served-1.jsonl"
    served.write_text("")
    import_files(store, parse_description(by, "mine.toml"), [log], replace=True)
    assert store.days("raw", "behaviors") == [date(2026, 11, 1)]
    assert sum(rows.num_rows for rows in raw_rows(store).values()) == 2
    assert store.days("raw", "impressions") == [date(2026, 10, 30), date(2026, 11, 1)]
    assert [path.name for path in served.parent.iterdir()] == ["served-1.jsonl"]
    assert "raw/dt=2026-10-31/behaviors is taken back" in caplog.text


def test_memory_is_bounded_and_it_does_not_show(tmp_path, mine, monkeypatch):
    dataset = parse_description(MINE, "mine.toml")
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    import_files(one, dataset, mine)
    monkeypatch.setattr(writer, "HELD_BYTES", 400)
    import_files(two, dataset, mine)
    for day, rows in raw_rows(one).items():
        assert rows.equals(raw_rows(two)[day])


def test_a_cut_archive_is_refused_and_nothing_is_published(tmp_path, mine):
    acts = "".join(f"m{i}|s|1|01.11.2026 08:{i % 60:02d}\n" for i in range(3_000))
    mine[0].write_bytes(gzip.compress(f"member|sku|act|when\n{acts}".encode())[:-40])
    store = Store(tmp_path / "home")
    with pytest.raises(InputError, match=r"actions_1\.csv\.gz cannot be read"):
        import_files(store, parse_description(MINE, "mine.toml"), mine)
    assert store.days("raw", "behaviors") == []


def test_files_of_different_types_lie_side_by_side(tmp_path):
    files = []
    for name, ids in (("a", pa.array([1, 2])), ("b", pa.array(["x", "y"]))):
        at = pa.array([1_793_491_200_000] * 2)
        rows = {"user_id": ids, "item_id": ids, "type": ["click"] * 2, "ts": at}
        pq.write_table(pa.table(rows), tmp_path / f"{name}.parquet")
        files.append(f"behaviors={tmp_path / name}.parquet")
    store = Store(tmp_path / "home")
    import_files(store, load("marketplace"), files)
    counts = events.run(store, date(2026, 11, 1))
    assert counts["behaviors_kept"] == 4


def test_a_rotten_byte_of_parquet_is_refused_and_never_another_row(tmp_path):
    file = tmp_path / "log.parquet"
    table = pa.table({"item_id": [f"i{n}" for n in range(100)]})
    pq.write_table(table, file, compression="none", use_dictionary=False, write_page_checksum=True)
    file.write_bytes(file.read_bytes().replace(b"i57", b"i75", 1))
    source = Source(file, "items", "log.parquet")
    with pytest.raises(InputError, match=r"log\.parquet cannot be read: .*CRC checksum"):
        list(read_blocks(load("marketplace"), source))


def test_parquet_keeps_its_types(tmp_path):
    file = tmp_path / "log.parquet"
    at = pa.array([1_793_491_200_000, 1_793_491_200_000 + 86_400_000])
    rows = {"user_id": pa.array([1, 2]), "item_id": ["a", "b"], "type": ["click"] * 2, "ts": at}
    pq.write_table(pa.table(rows), file)
    store = Store(tmp_path)
    import_files(store, load("marketplace"), [f"behaviors={file}"])
    days = raw_rows(store)
    assert list(days) == [date(2026, 11, 1), date(2026, 11, 2)]
    assert days[date(2026, 11, 2)].to_pylist()[0] | {"ts": 0} == {
        "user_id": 2,
        "item_id": "b",
        "type": "click",
        "ts": 0,
        "_source": "log.parquet",
        "_line": 2,
        "_text": None,
    }
