"""What an import refuses, and what it says to do instead."""

import errno
import gzip
import io
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.raw.dataset import load, parse_description
from infra.errors import ConfigError, InputError, StoreError
from infra.store import Store
from pipeline.jobs import events
from pipeline.nights.config import NightlyConfig
from pipeline.raw import arrival, rawfiles
from pipeline.raw.given import read_blocks
from pipeline.raw.importing import import_files, match
from pipeline.raw.writer import RawWriter, Source
from tests.pipeline.raw.test_importing import MINE, mine, raw_rows  # noqa: F401  # fixture


def test_another_file_of_the_same_name_does_not_replace_a_day(tmp_path, mine, caplog):  # noqa: F811  # a fixture
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    import_files(store, dataset, [mine[0]])
    stamps = {day: store.partition("raw", day, "behaviors").stamp() for day in raw_rows(store)}
    half = tmp_path / "half" / mine[0].name
    half.parent.mkdir()
    lines = gzip.decompress(mine[0].read_bytes()).splitlines(keepends=True)
    half.write_bytes(gzip.compress(b"".join(lines[:5])))
    said = (
        r"rows of actions_1\.csv\.gz \(13 rows\), and actions_1\.csv\.gz is another file.*--replace"
    )
    with pytest.raises(InputError, match=said):
        import_files(store, dataset, [half])
    assert {day: rows.num_rows for day, rows in raw_rows(store).items()} == {
        date(2026, 11, 1): 13,
        date(2026, 11, 2): 12,
    }
    copy = tmp_path / "copy" / mine[0].name
    copy.parent.mkdir()
    copy.write_bytes(mine[0].read_bytes())
    import_files(store, dataset, [copy])
    assert stamps == {day: store.partition("raw", day, "behaviors").stamp() for day in stamps}
    assert "had 13 rows" not in caplog.text
    assert import_files(store, dataset, [half], replace=True)["behaviors_rows"] == 4
    assert "raw/dt=2026-11-01/behaviors had 13 rows and gets 2: was a straggler" in caplog.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "other=actions.csv",
            r"other is no table of mine, which describes behaviors, items, users",
        ),
        ("follows=f.csv", r"or describe it under \[follows\]"),
    ],
)
def test_a_table_that_is_none_is_told_from_a_file_that_is_gone(tmp_path, given, said):
    with pytest.raises(ConfigError, match=said):
        import_files(Store(tmp_path), parse_description(MINE, "mine.toml"), [Path(given)])


def test_a_file_that_may_not_be_read_is_an_error_that_names_it(tmp_path, mine, monkeypatch):  # noqa: F811  # a fixture
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    dataset = parse_description(MINE, "mine.toml")
    for asked in ("open", "is_file"):  # the file's own permissions, those of its folder
        with monkeypatch.context() as patch:
            patch.setattr(Path, asked, refused)
            with pytest.raises(InputError, match=r"actions_1\.csv\.gz cannot be read: Permission"):
                match(dataset, [mine[0]])


def test_a_product_table_alone_goes_with_the_day_that_is_given(tmp_path, mine):  # noqa: F811  # a fixture
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    products = mine[2]
    with pytest.raises(InputError, match="--day"):
        import_files(store, dataset, [products])
    counts = import_files(store, dataset, [products], day=date(2026, 11, 5))
    assert counts["first_day"] == counts["last_day"] == "2026-11-05"
    assert store.days("raw", "items") == [date(2026, 11, 5)]


def test_the_advice_about_another_data_set_works(tmp_path, mine):  # noqa: F811  # a fixture
    toml = tmp_path / "mine.toml"
    toml.write_text(MINE)
    store = Store(tmp_path / "home")
    import_files(store, load(toml), mine)
    first = date(2026, 11, 1)
    with pytest.raises(InputError, match="was written as data set mine") as error:
        events.run(store, first, load("marketplace"))
    advised = re.search(r"Set dataset=(\S+),", str(error.value))[1]
    assert events.run(store, first, load(advised))["behaviors_kept"] > 0


def test_the_command_takes_the_day(dupn, tmp_path, mine):  # noqa: F811  # fixtures
    toml = tmp_path / "mine.toml"
    toml.write_text(MINE)
    command = ["--home", tmp_path / "home", "import", toml, mine[2]]
    assert dupn(*command)[0] == 1
    assert dupn(*command, "--day", "2026-11-05")[0] == 0
    assert Store(tmp_path / "home").days("raw", "items") == [date(2026, 11, 5)]


def test_a_day_beside_a_log_is_refused(tmp_path, mine):  # noqa: F811  # a fixture
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    said = r"actions_1\.csv\.gz is a log \(behaviors\): .* --day 2026-11-05 would decide nothing"
    for files in ([mine[0]], mine[::-1]):
        with pytest.raises(InputError, match=said):
            import_files(store, dataset, files, day=date(2026, 11, 5))
    assert raw_rows(store) == {}


def test_files_that_were_put_into_a_day_are_not_hidden_by_an_import(tmp_path, mine):  # noqa: F811  # a fixture
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    folder = tmp_path / "home" / "raw" / "dt=2026-11-01" / "behaviors"
    folder.mkdir(parents=True)
    (folder / "came.csv").write_text("member|sku|act|when\nm0|s0|1|01.11.2026 08:00\n")
    (folder / "served-1.jsonl").write_text("")
    with pytest.raises(InputError, match=r"put there: came\.csv\. .*--replace"):
        import_files(store, dataset, [mine[0]])
    assert not store.partition("raw", date(2026, 11, 2), "behaviors").exists()
    (folder / "came.csv").unlink()
    assert import_files(store, dataset, [mine[0]])["behaviors_days"] == 2


def other_file(tmp_path):
    """One more row of the first day."""
    file = tmp_path / "actions_9.csv"
    file.write_text("member|sku|act|when\nm0|s0|1|01.11.2026 08:00\n")
    return file


@dataclass
class Meanwhile:
    """A progress that does something once, while an import is under way."""

    do: Callable[[], object]
    done: bool = False

    def __call__(self, *_, **__):
        return nullcontext(self)

    def advance(self, *_, **__):
        if not self.done:
            self.done = True
            self.do()


def test_of_two_imports_at_once_the_one_that_ends_later_is_refused(tmp_path, mine):  # noqa: F811  # a fixture
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    other = other_file(tmp_path)
    second = Meanwhile(lambda: import_files(store, dataset, [other]))
    with pytest.raises(InputError, match=r"already holds rows of actions_9\.csv \(1 rows\)"):
        import_files(store, dataset, [mine[0]], progress=second)
    assert {day: rows.num_rows for day, rows in raw_rows(store).items()} == {date(2026, 11, 1): 1}
    with_it = Meanwhile(lambda: import_files(store, dataset, [other], replace=True))
    import_files(store, dataset, [mine[0]], replace=True, progress=with_it)
    assert raw_rows(store)[date(2026, 11, 1)].num_rows == 13  # who says so replaces it


def test_the_same_files_may_be_imported_twice_at_once(tmp_path, mine):  # noqa: F811  # a fixture
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    second = Meanwhile(lambda: import_files(store, dataset, [mine[0]]))
    assert import_files(store, dataset, [mine[0]], progress=second)["behaviors_days"] == 2


def test_a_file_that_is_put_into_a_day_during_its_import_is_not_hidden(tmp_path, mine):  # noqa: F811  # a fixture
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    place = f"raw/dt={date(2026, 11, 2)}/behaviors/came.csv"
    put = Meanwhile(lambda: store.put(place, other_file(tmp_path).read_text()))
    with pytest.raises(InputError, match=r"put there: came\.csv\. .*--replace"):
        import_files(store, dataset, [mine[0]], progress=put)
    assert raw_rows(store) == {}


def test_a_shop_that_imports_day_by_day_is_told_how_late_rows_come_in(tmp_path):
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    first, second = tmp_path / "actions_1.csv", tmp_path / "actions_2.csv"
    acts = [f"m{n}|s0|1|01.11.2026 08:{n:02d}" for n in range(10)]
    first.write_text("\n".join(["member|sku|act|when", *acts]))
    second.write_text("member|sku|act|when\nm0|s1|1|02.11.2026 08:00\nm1|s1|1|01.11.2026 23:59\n")
    import_files(store, dataset, [first])
    said = (
        r"late.* as it is into raw/dt=DAY/behaviors of the day on which it came.*"
        r"with these alone it takes the place of its 10 rows\."
    )
    with pytest.raises(InputError, match=said):
        import_files(store, dataset, [second])
    store.put(f"raw/dt={date(2026, 11, 2)}/behaviors/{second.name}", second.read_text())
    counts = [events.run(store, date(2026, 11, day), dataset) for day in (1, 2)]
    assert [one["behaviors_kept"] for one in counts] == [10, 2]
    assert [one["behaviors_late"] for one in counts] == [0, 1]


def test_of_a_snapshot_nothing_is_late(tmp_path):
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    for name, refused in (("one.csv", False), ("two.csv", True)):
        (tmp_path / name).write_text(f"sku,brand,cat,words,price\n{name},b,c,,\n")
        files, day = [f"items={tmp_path / name}"], date(2026, 11, 1)
        if not refused:
            import_files(store, dataset, files, day=day)
            continue
        with pytest.raises(InputError, match=r"one\.csv \(1 rows\)\. Give --replace with all"):
            import_files(store, dataset, files, day=day)


def test_what_a_killed_import_leaves_is_no_day_and_no_hindrance(tmp_path, mine, monkeypatch):  # noqa: F811  # a fixture
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    day = date(2026, 11, 1)
    with monkeypatch.context() as killed:
        killed.setattr(RawWriter, "record", lambda _: exec("raise KeyboardInterrupt"))
        killed.setattr(RawWriter, "_discard", lambda *_: None)  # who is killed does nothing more
        with pytest.raises(KeyboardInterrupt):
            import_files(store, dataset, [mine[0]])
    assert store.names(f"raw/dt={day}/behaviors")
    assert rawfiles.parts(store, day, "behaviors") == []
    assert arrival.look(store, day, NightlyConfig()).here == ()
    assert import_files(store, dataset, [mine[0]])["behaviors_days"] == 2
    assert {part.source for part in rawfiles.parts(store, day, "behaviors")} == {
        "part-00000.parquet"
    }


def test_lines_that_end_with_cr_alone_are_told(tmp_path, mine):  # noqa: F811  # a fixture
    log = tmp_path / "old.csv"
    log.write_bytes(gzip.decompress(mine[0].read_bytes()).replace(b"\n", b"\r"))
    with pytest.raises(InputError, match=r"old\.csv: its lines end with CR alone"):
        import_files(Store(tmp_path), parse_description(MINE, "mine.toml"), [f"behaviors={log}"])


def test_a_file_that_is_no_parquet_is_told_with_the_line_of_its_table(tmp_path, mine):  # noqa: F811  # a fixture
    bare = parse_description(MINE.replace('format = "csv"\ndelim', "delim"), "mine.toml")
    with pytest.raises(ConfigError, match=r"line 3: behaviors\.format: .*gz is no Parquet .*csv"):
        import_files(Store(tmp_path / "home"), bare, [mine[0]])
    assert not Store(tmp_path / "home").days("raw", "behaviors")


@pytest.mark.parametrize("said", ["csv", "jsonl"])
def test_a_parquet_file_under_another_format_is_told_so_with_the_line_of_the_format(tmp_path, said):
    file = tmp_path / "log.parquet"
    users = [f"u{n}" for n in range(5_000)]
    pq.write_table(pa.table({"user_id": users, "item_id": users, "ts": range(5_000)}), file)
    described = parse_description(f'name = "x"\n[behaviors]\nformat = "{said}"\n', "x.toml")
    told = r'x\.toml line 3: behaviors\.format: .*log\.parquet is a Parquet file\. .*"parquet"'
    with pytest.raises(ConfigError, match=told):
        import_files(Store(tmp_path / "home"), described, [f"behaviors={file}"])


def test_a_text_may_begin_as_a_parquet_file_does(tmp_path):
    file = tmp_path / "log.csv"
    file.write_text("PAR1,item_id,type,ts\nu,i,click,1777777777000\n")
    text = 'name = "x"\n[behaviors]\nformat = "csv"\nmap = { user_id = "PAR1" }\n'
    described = parse_description(text, "x.toml")
    counts = import_files(Store(tmp_path / "home"), described, [f"behaviors={file}"])
    assert counts["behaviors_rows"] == 1


def test_a_file_is_named_once(tmp_path, mine):  # noqa: F811  # a fixture
    link = tmp_path / "again.csv"
    link.symlink_to(mine[0])
    with pytest.raises(InputError, match=r"again\.csv was given twice for behaviors"):
        match(parse_description(MINE, "mine.toml"), [mine[0], f"behaviors={link}"])


def test_files_are_told_apart_by_as_many_folders_as_it_takes_in_any_order(tmp_path):
    paths = [tmp_path / one for one in ("h0/p.csv", "x/h1/p.csv", "y/h1/p.csv", "q.csv")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    dataset = parse_description(MINE, "mine.toml")
    for given in (paths, paths[::-1]):
        names = {one.path: one.name for one in match(dataset, [f"behaviors={p}" for p in given])}
        first = tmp_path.name
        assert [names[path] for path in paths] == [
            f"{first}/h0/p.csv",
            "x/h1/p.csv",
            "y/h1/p.csv",
            "q.csv",
        ]


def test_a_file_given_relative_and_absolute_has_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "log.csv").touch()
    given = ["behaviors=a/log.csv", f"items={tmp_path}/a/log.csv", f"users={tmp_path}/b/log.csv"]
    found = match(parse_description(MINE, "mine.toml"), given)
    assert [one.name for one in found] == ["a/log.csv", "a/log.csv", "b/log.csv"]


@pytest.mark.parametrize("header", ["member|sku|act|when|when", "member|sku|act|when||"])
def test_a_header_that_says_a_column_twice_is_refused(tmp_path, header):
    file = tmp_path / "actions_1.csv"
    more = "|x" * (header.count("|") - 3)
    file.write_text(f"{header}\nm0|s0|1|01.11.2026 08:00{more}\n")
    with pytest.raises(ConfigError, match=r"has the column '(when|)' 2 times"):
        import_files(
            Store(tmp_path / "home"), parse_description(MINE, "mine.toml"), [f"behaviors={file}"]
        )


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (
            OSError(errno.EIO, "Input/output error"),
            StoreError,
            r"could not be read: .*Input/output",
        ),
        (pa.ArrowMemoryError("malloc failed"), MemoryError, "malloc failed"),
        (OSError("Unexpected end of stream"), InputError, r"of stream\. Get the file again"),
    ],
)
def test_a_disk_that_fails_is_told_from_a_file_to_get_again(
    tmp_path,
    mine,  # noqa: F811  # a fixture
    monkeypatch,
    error,
    kind,
    said,
):
    class Failing(io.BytesIO):
        def read(self, *_):
            raise error

    dataset = parse_description(MINE, "mine.toml")
    given = Source(mine[0], "behaviors", mine[0].name)
    monkeypatch.setattr(Path, "open", lambda *_: Failing())
    with pytest.raises(kind, match=said):
        list(read_blocks(dataset, given))


def test_an_address_is_told_from_a_file_that_is_not_there():
    for given in ("s3://shop/incoming/a.csv", "behaviors=s3://shop/incoming/a.csv"):
        with pytest.raises(InputError, match=r"^s3://shop/incoming/a\.csv is an address"):
            match(load("rees46"), [given])
