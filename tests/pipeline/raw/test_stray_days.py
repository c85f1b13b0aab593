from datetime import date, timedelta

import pytest

from features.raw.dataset import parse_description
from infra.store import Store
from pipeline.raw.importing import import_files, stray_days
from tests.pipeline.raw.test_importing import MINE

DAY = date(2026, 11, 1)
ODD = date(2000, 1, 1)


def days(*rows, first=DAY):
    return {first + timedelta(days=n): count for n, count in enumerate(rows) if count}


@pytest.mark.parametrize(
    ("rows", "stray"),
    [
        ({}, []),
        (days(3), []),  # a single day is the log
        ({ODD: 1} | days(900, 800), [ODD]),
        (days(900, 800) | {date(2099, 1, 1): 2}, [date(2099, 1, 1)]),
        (days(1, 2, 40, 9_000, 9_000), []),  # a log that begins small is not cut
        (days(2, 0, 9_000, 9_000), [DAY]),
        (days(700, 0, 9_000, 9_000), [DAY]),
        (days(7_000, 0, 9_000, 9_000), []),  # a lost day makes no stray one
        (days(*[1, 0] * 40) | days(5_000, first=date(2028, 1, 1)), [*days(*[1, 0] * 40)]),
        (days(1, 0, 1, 0, 1), []),
    ],
)
def test_days_are_stray_that_lie_apart_and_have_few_rows(rows, stray):
    assert stray_days(rows) == stray


def test_one_old_row_does_not_take_the_product_table_with_it(tmp_path, caplog):
    acts = [f"m{i}|s{i % 4}|1|0{i % 2 + 1}.11.2026 08:{i:02d}" for i in range(40)]
    odd = ["m1|s1|1|01.01.2000 08:00", "m2|s2|1|never"]
    log = tmp_path / "actions_1.csv"
    log.write_text("\n".join(["member|sku|act|when", *acts, *odd]) + "\n")
    products = tmp_path / "products.csv"
    products.write_text("sku,brand,cat,words,price\ns0,b0,c0,red,1.5\n")
    store = Store(tmp_path / "home")
    counts = import_files(store, parse_description(MINE, "mine.toml"), [log, products])
    assert counts["behaviors_rows"] == 42
    assert (counts["first_day"], counts["last_day"]) == ("2026-11-01", "2026-11-02")
    assert store.days("raw", "items") == [DAY]
    assert store.partition("raw", DAY, "behaviors").manifest().rows == 21  # the undated one too
    assert "2000-01-01 (1 rows)" in caplog.text
    assert "goes with 2026-11-01" in caplog.text
