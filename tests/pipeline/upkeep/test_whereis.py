"""A person is found wherever a home holds them; in columns of users nobody is taken for them."""

import errno
import gzip
import json
import os
import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.buckets import hash_ids
from infra.errors import InputError
from infra.store import Store
from pipeline.cli.app import app
from pipeline.upkeep import whereis
from tests import chain as chains
from tests.chain import smoke

DAY = date(2026, 3, 2)
DESCRIPTION = """
name = "log"
time_zone = "UTC"
[behaviors]
format = "csv"
encoding = "latin-1"
quote = "'"
columns = ["user_id", "item_id", "type", "ts"]
types = { click = "click" }
time = { unit = "s" }
[follows]
format = "csv"
columns = ["user_id", "icon_id", "ts", "followed"]
time = { unit = "s" }
"""
HASH = int(hash_ids(pa.array(["anna"]))[0])


def counts(home, user="anna", *pairs):
    return {one["place"]: one["count"] for one in whereis.run(smoke(home, *pairs), user)}


def write(home, name, content):
    file = Path(home, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict):
        pq.write_table(pa.table(content), file)
    else:
        file.write_bytes(content)


def test_a_person_is_where_a_plain_look_into_every_file_finds_them(chain):
    person = chains.recorded_questions(chain)[0]["question"]["user_id"]
    names = person, str(hash_ids(pa.array([person]))[0])
    plain = set()
    for file in Path(chain.settings.home).rglob("*"):
        if file.is_file():
            table = file.suffix == ".parquet"
            text = str(pq.read_table(file).to_pydict()) if table else file.read_text("latin-1")
            if any(name in text for name in names):
                plain.add(whereis._place(str(file.relative_to(chain.settings.home))))
    assert {"raw", "events", "sequences", "samples"} < plain
    assert set(counts(chain.settings.home, person)) == plain


def test_rows_files_and_days_of_a_place_are_counted(tmp_path):
    table = {"user_id": ["anna", "bert", "anna"], "user_hash": pa.array([HASH, 2, HASH], "u8")}
    write(tmp_path, "events/dt=2026-03-02/behaviors/part.parquet", table)
    write(tmp_path, "events/dt=2026-03-04/behaviors/part.parquet", {"user_id": ["anna", None]})
    assert whereis.run(smoke(tmp_path), "anna") == [
        {"place": "events", "first": "2026-03-02", "last": "2026-03-04", "files": 2, "count": 3}
    ]


@pytest.mark.parametrize(
    ("user", "content"),
    [
        ("anna", b"1,anna,click\n2,annabel,click\n3,joanna,click\n"),
        ("jürgen", json.dumps({"user_id": "jürgen"}).encode()),
        ("anna", HASH.to_bytes(8, "little") + b"\0"),
        ("anna", f"[{HASH}]".encode()),
        ("anna", b"anna"),
    ],
)
def test_the_id_is_a_word_of_a_file_or_the_hash_in_digits_or_bytes(tmp_path, user, content):
    write(tmp_path, "raw/dt=2026-03-02/behaviors/log.jsonl", content)
    write(tmp_path, "raw/dt=2026-03-02/follows/log.jsonl.gz", gzip.compress(content))
    assert counts(tmp_path, user) == {"raw": 2}


@pytest.mark.parametrize(
    ("user", "content"),
    [
        ("Müller", "1,Müller,click\n".encode("latin-1")),
        ('q"z', b'"q""z",click\n'),
        ('é"x', '{"user_id":"é\\"x"}'.encode()),
        ("é\\u00e9", rb'{"user_id":"\u00E9\\u00e9"}'),
        ("a/b", rb'{"user_id":"a\/b"}'),
        ("O'Neil", b"'O''Neil',click"),
    ],
)
def test_the_id_is_found_in_raw_texts_however_they_write_it(tmp_path, user, content):
    (tmp_path / "log.toml").write_text(DESCRIPTION)
    write(tmp_path / "home", "raw/dt=2026-03-02/behaviors/log.csv", content)
    write(tmp_path / "home", "rejects/dt=2026-03-02/part.parquet", {"text": [_line(content)]})
    found = counts(tmp_path / "home", user, f"dataset={tmp_path}/log.toml")
    assert found == {"raw": 1, "rejects": 1}


def _line(content):
    return content.decode("latin-1" if b"\xfc" in content else "utf-8")


def test_an_id_that_is_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"'M\\udcfcller' is not UTF-8"):
        whereis.run(smoke(tmp_path), os.fsdecode(b"M\xfcller"))


@pytest.mark.parametrize("piece", range(1, 9))
def test_where_a_piece_of_a_file_ends_does_not_matter(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(whereis, "PIECE", piece)
    write(tmp_path, "reports/offline/a/page.html", b"anna," + 60 * b"anna joanna " + b"anna")
    assert counts(tmp_path) == {"reports/offline/a": 62}


def test_live_behaviours_are_found_by_the_hash_also_outside_of_the_home(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    with sqlite3.connect(work / "live.db") as database:
        database.execute("CREATE TABLE live (user INTEGER)")
        database.execute("INSERT INTO live VALUES (?)", (int(np.uint64(HASH).view(np.int64)),))
    found = counts(tmp_path / "home", "anna", f"serve.work={work}")
    assert found == {f"{work}/live.db": 1}


def test_a_service_within_the_home_is_looked_through_once(tmp_path):
    home = tmp_path / "home"
    write(home, "serving/served.jsonl", b'{"user_id":"anna"}')
    for work in (home / "serving", home, tmp_path):
        assert counts(home, "anna", f"serve.work={work}") == {"serving": 1}


def test_folders_of_another_disk_are_looked_through_by_their_link(tmp_path):
    home, disk = tmp_path / "home", tmp_path / "disk"
    write(disk, "raw/dt=2026-03-02/behaviors/log.csv", b"anna")
    write(home, "events/dt=2026-03-02/behaviors/log.csv", b"anna")
    write(disk, "day/a.csv", b"anna")
    (home / "raw").symlink_to(disk / "raw")
    (home / "events/dt=2026-03-03").symlink_to(disk / "day")
    (home / "another").symlink_to(home / "events")  # counted under its own name
    (disk / "raw/back").symlink_to(home)  # round and round
    assert counts(home) == {"raw": 1, "events": 2}


def test_in_an_object_store_places_have_the_names_of_a_disk():
    kept = fsspec.filesystem("memory")
    kept.pipe_file("/whereis/home/raw/dt=2026-03-02/behaviors/log.csv", b"12,click")
    kept.pipe_file("/whereis/home/bundles/a/recorded.json", b'{"user_id": "12"}')
    assert counts("memory://whereis/home", "12") == {"raw": 1, "bundles/a": 1}


def test_an_id_of_digits_is_looked_for_where_ids_of_users_stand(tmp_path):
    rows = {"user_id": pa.array([7, 70]), "item_id": ["7", "8"], "n": [7, 7], "_text": ["", "7,x"]}
    write(tmp_path, "raw/dt=2026-03-02/behaviors/a.parquet", rows)
    write(tmp_path, "catalog/dt=2026-03-02/a.parquet", {"item_id": ["7"], "row": [7]})
    write(tmp_path, "reports/gate/a.json", b'{"shown": 7}')
    write(tmp_path, "bundles/a/recorded.json", b'{"user_id": "7"}')
    assert counts(tmp_path, "7") == {"raw": 1, "bundles/a": 1}


@pytest.mark.parametrize("user", ["anna", "12", "b@x.com", "012", "99"])
def test_a_column_of_users_holds_whole_ids(tmp_path, user):
    others = ["anna-7", "anna.b@x.com", "12-99", "a.b@x.com", "12.0", "0012", None]
    write(tmp_path, "events/dt=2026-03-02/behaviors/a.parquet", {"user_id": others})
    assert counts(tmp_path, user) == {}
    write(tmp_path, "events/dt=2026-03-02/behaviors/b.parquet", {"user_id": [*others, user]})
    assert counts(tmp_path, user) == {"events": 1}


@pytest.mark.parametrize(
    ("user", "column"),
    [
        ("123", pa.array([123.0, 12.0, None, 123.5])),
        ("123", pa.array([123.0, 12.0], pa.float16())),
        ("123", pa.array([Decimal("123.00"), Decimal("12.30"), None])),
        ("123", pa.array([123, 5], pa.int16())),
        ("anna", pa.array(["anna", "bert"], pa.string_view())),
        ("anna", pa.array([b"anna", b"bert"], pa.binary(4))),
        ("anna", pa.array([b"anna", b"\xff"])),
        ("anna", pa.array(["anna", "bert"]).dictionary_encode()),
        ("anna", pa.array([["anna", "bert"], []], pa.list_view(pa.string()))),
        ("anna", pa.array([[("of", "anna")], [], None], pa.map_(pa.string(), pa.string()))),
        ("30303030-3030-3030-3030-303030303030", pa.array([16 * b"0"], pa.uuid())),
    ],
    ids=lambda one: str(getattr(one, "type", one)),
)
def test_users_are_found_in_columns_of_every_type(tmp_path, user, column):
    name = "known" if pa.types.is_map(column.type) else "user_id"
    write(tmp_path, "raw/dt=2026-03-02/behaviors/a.parquet", {name: column})
    assert counts(tmp_path, user) == {"raw": 1}


def test_ids_that_the_log_writes_as_floats_are_found_in_texts_too(tmp_path):
    log = tmp_path / "log.toml"
    log.write_text('name = "shop"\n[behaviors]\nfloat_ids = ["user_id"]\n')
    write(tmp_path / "home", "raw/dt=2026-03-02/behaviors/a.parquet", {"user_id": ["12.0", "120"]})
    assert counts(tmp_path / "home", "12", f"dataset={log}") == {"raw": 1}
    assert counts(tmp_path / "home", "12") == {}


def test_lists_and_texts_inside_of_a_row_are_looked_into(tmp_path):
    rows = {"seen": [["bert", "anna"], []], "who": [{"name": "anna"}, None]}
    write(tmp_path, "experiments/x/readout/dt=2026-03-02/a.parquet", rows)
    assert counts(tmp_path) == {"experiments/x/readout": 1}


def test_a_file_that_cannot_be_read_is_named(tmp_path, caplog):
    write(tmp_path, "raw/dt=2026-03-02/behaviors/broken.parquet", b"anna")
    write(tmp_path, "raw/dt=2026-03-02/behaviors/log.csv", b"anna")
    assert counts(tmp_path) == {"raw": 1}
    assert "broken.parquet was not looked into" in caplog.text


def test_a_folder_that_may_not_be_entered_and_a_link_to_nothing_are_named(
    tmp_path, caplog, monkeypatch
):
    caplog.set_level("INFO")
    write(tmp_path, "raw/dt=2026-03-02/behaviors/log.csv", b"anna")
    write(tmp_path, "events/dt=2026-03-02/behaviors/log.csv", b"anna")
    (tmp_path / "samples").symlink_to(tmp_path / "disk that is not mounted")
    scandir = os.scandir

    def closed(path):  # whoever runs the tests as root may enter every folder
        if Path(path).name == "events":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert counts(tmp_path) == {"raw": 1}
    for name in ("events", "samples"):
        assert f"{tmp_path / name} was not looked into" in caplog.text
    assert "2 files or folders could not be read" in caplog.text


def test_who_is_found_nowhere_is_said_to_be(tmp_path):
    said = CliRunner().invoke(app, ["--home", str(tmp_path), "whereis", "anna"])
    assert "whereis: found nowhere" in said.output


def test_of_an_id_that_stands_anywhere_by_chance_it_is_said(tmp_path, caplog):
    write(tmp_path, "checkpoints/dupn-2026-03-02/weights.pt", b'\0\1zq\2 anna "12"\0')
    for user in ("anna", "zq", "12"):  # digits count in quotes alone
        assert counts(tmp_path, user) == {"checkpoints/dupn-2026-03-02": 1}
    said = [one.message for one in caplog.records if "by chance" in one.message]
    assert [one.partition(" is so short")[0] for one in said] == ["zq"]


def test_raw_is_read_by_the_descriptions_of_its_imports_whatever_is_set(tmp_path, caplog):
    """Whoever forgets somebody may not know them, and "nowhere" would be wrong."""
    imported = DESCRIPTION.replace('"user_id", "item_id"', '"who", "item_id"').replace(
        "types =", 'map = { user_id = "who" }\ntypes ='
    )
    store, rows = Store(tmp_path), pa.table({"who": ["700012", "13"], "item_id": ["700012", "7"]})
    for day, text in ((DAY, imported), (date(2026, 3, 3), "nothing = 1")):
        with store.partition("raw", day, "behaviors").publish(description=text) as out:
            out.record([out.write_table("part-0", rows)])
    assert counts(tmp_path, "700012") == {"raw": 2}  # a column of either day
    assert any("raw/dt=2026-03-03/behaviors" in said for said in caplog.messages)
