"""What brings raw data in says how far it is: an import in bytes of its files, a life in days."""

import gzip
import logging

import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest

from features.raw.dataset import parse_description
from infra import progress
from infra.progress import track
from infra.store import Store
from pipeline import steps
from pipeline.raw.importing import import_files
from tests import nights
from tests.nights import DAYS

ROWS = "".join(f"u{n % 9},i{n % 7},click,{1_793_491_200_000 + n}\n" for n in range(3000))
LOG = f"user_id,item_id,type,ts\n{ROWS}".encode()
SHOP = """
name = "shop"
[behaviors]
format = "csv"
constants = { scenario = "unknown" }
identity = "row"
[items]
format = "csv"
"""


@pytest.fixture(autouse=True)
def spoken(monkeypatch, caplog):
    """Whatever is said on the way is said at once."""
    monkeypatch.setattr(progress, "SENTENCE_EVERY_S", 0.0)
    caplog.set_level(logging.INFO)


def said(caplog, of):
    return [one for one in caplog.messages if one.startswith(f"{of}: ")]


def test_an_import_says_how_many_bytes_of_its_files_it_has_read(tmp_path, caplog):
    log, items, shop = (tmp_path / name for name in ("log.csv", "items.csv", "shop.toml"))
    log.write_bytes(LOG)
    items.write_text("item_id\ni1\n")
    shop.write_text(SHOP)
    files = [f"behaviors={log}", f"items={items}"]
    steps.import_log(nights.settings(tmp_path / "home"), str(shop), files)
    *way, end = said(caplog, "import")
    total = len(LOG) + items.stat().st_size
    assert way[0].startswith(f"import: {len(LOG):,} of {total:,} bytes (")
    assert end.startswith(f"import: {total:,} bytes in ")


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.parquet"])
def test_whatever_its_format_a_file_is_read_to_its_end_and_no_further(tmp_path, caplog, name):
    (tmp_path / "log.csv").write_bytes(LOG)
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(LOG))
    pq.write_table(pv.read_csv(tmp_path / "log.csv"), tmp_path / "log.parquet", row_group_size=500)
    shop = SHOP.replace("csv", "parquet", 1) if name.endswith("parquet") else SHOP
    file = tmp_path / name
    dataset = parse_description(shop, "shop.toml")
    import_files(Store(tmp_path / "home"), dataset, [f"behaviors={file}"], progress=track)
    *way, end = said(caplog, "import")
    assert way
    assert end.startswith(f"import: {file.stat().st_size:,} bytes in ")


def test_the_marketplace_says_how_many_days_it_has_lived(tmp_path, caplog):
    steps.simulate(nights.settings(tmp_path / "home"), DAYS[0], 2)
    first, _, end = said(caplog, "simulate")
    assert first.startswith("simulate: 1 of 2 days (50%)")
    assert end.startswith("simulate: 2 days in ")
