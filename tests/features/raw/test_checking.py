import io
import re
from contextlib import nullcontext

import pyarrow as pa
import pytest

from features.raw.checking import check
from features.raw.dataset import parse_description
from features.raw.parse import text_blocks
from infra.errors import ConfigError

GOOD = """\
name = "mine"
first_day = 2017-11-25
[behaviors]
format = "csv"
[behaviors.map]
user_id = "uid"
item_id = "iid"
type = "code"
ts = "at"
[behaviors.types]
pv = "click"
buy = "purchase"
[behaviors.time]
unit = "s"
"""
ROWS = [f"u{i},i{i},{'buy' if i % 9 == 0 else 'pv'},{1_512_000_000 + i}" for i in range(90)]
LOG = "\n".join(["uid,iid,code,at", *ROWS]) + "\n"


def hold(description, log=LOG):
    dataset = parse_description(description, "mine.toml")
    blocks = text_blocks(io.BytesIO(log.encode()), "log.txt", dataset.table("behaviors"), 1_000)
    check(dataset, "behaviors", "log.txt", next(blocks))


def test_a_fitting_description_passes():
    hold(GOOD)


@pytest.mark.parametrize(
    ("before", "after", "line", "column"),
    [
        ('ts = "at"', 'ts = "when"', 9, "'when'"),
        ('user_id = "uid"', "", 5, "'user_id'"),
        ('buy = "purchase"', "", 10, "'code'"),
        ('unit = "s"', 'unit = "ms"', 14, "'at'"),
        ('unit = "s"', 'format = "%Y-%m-%d"', 14, "'at'"),
        ("first_day = 2017-11-25", "first_day = 2018-01-01", 2, "'at'"),
        ('format = "csv"', 'format = "csv"\ndelimiter = "|"', 5, "'uid,iid,code,at'"),
        ('ts = "at"', 'ts = "at"\nscenario = "code"', 3, "'code'"),
        ('ts = "at"', 'ts = "at"\nprice = "code"', 10, "'code'"),
        (
            'format = "csv"',
            'format = "csv"\ncolumns = ["uid", "iid", "code", "at", "x"]',
            5,
            "'uid'",
        ),
        ('format = "csv"', 'format = "jsonl"', 4, "JSON"),
    ],
)
def test_a_wrong_one_is_refused_with_its_line_and_the_column(before, after, line, column):
    assert before in GOOD
    with pytest.raises(ConfigError) as error:
        hold(GOOD.replace(before, after))
    assert str(error.value).startswith(f"mine.toml line {line}: "), error.value
    assert column in str(error.value)
    assert "log.txt" in str(error.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('format = "csv"', 'format = "csv"\nheader = true\ncolumns = ["uid", "iid", "code", "at"]'),
        ('\nuser_id = "uid"\nitem_id = "iid"\ntype = "code"\nts = "at"', ""),
        ("", ""),
    ],
)
def test_a_header_that_nothing_parts_asks_for_the_delimiter(before, after):
    with pytest.raises(
        ConfigError, match=r": behaviors\.delimiter: .* one column between ','"
    ) as it:
        hold(GOOD.replace(before, after), LOG.replace(",", ";"))
    assert "'uid;iid;code;at'. Mend the delimiter." in str(it.value)


def test_all_codes_without_a_meaning_are_named_at_once_the_frequent_first():
    rows = [row.replace(",buy,", ",cart,") for row in ROWS]
    description = GOOD.replace('pv = "click"\n', "")
    with pytest.raises(ConfigError, match=r"line 10: .*'pv' in 80, 'cart' in 10 of its first 90"):
        hold(description, "\n".join(["uid,iid,code,at", *rows]) + "\n")
    places = [f"{row},{'top' if i % 3 else 'side'}" for i, row in enumerate(ROWS)]
    description = GOOD.replace("[behaviors.map]", 'scenarios = { w = "ad" }\n[behaviors.map]')
    with pytest.raises(ConfigError, match=r"line 5: .*'top' in 60, 'side' in 30 of 90 rows"):
        hold(description, "\n".join(["uid,iid,code,at,scenario", *places]) + "\n")


def test_of_many_codes_without_a_meaning_twenty_are_named():
    rows = [row.replace(",pv,", f",c{i % 30},") for i, row in enumerate(ROWS)]
    with pytest.raises(ConfigError, match=r"line 10: .* in \d, and \d+ more of its first 90"):
        hold(GOOD, "\n".join(["uid,iid,code,at", *rows]) + "\n")


@pytest.mark.parametrize("text", ["02.11.2026 08:00:55", "2026-11-02T08:00:55Z", "soon"])
def test_a_text_where_a_number_was_declared_asks_for_its_format(text):
    rows = [f"u{i},i{i},pv,{text}" for i in range(9)]
    with pytest.raises(ConfigError, match=rf"line 14: .*as s: '{text}'\. It is a text: .*format"):
        hold(GOOD, "\n".join(["uid,iid,code,at", "u,i,pv,1512000000", *rows]) + "\n")


def test_a_number_that_does_not_fit_asks_for_its_unit():
    rows = [f"u{i},i{i},pv,{10**25}" for i in range(9)]
    with pytest.raises(ConfigError, match=r"line 14: .*as s: '10+'\. Mend the unit\."):
        hold(GOOD, "\n".join(["uid,iid,code,at", *rows]) + "\n")


def test_a_log_without_any_time_is_told_so():
    rows = [f"u{i},i{i},pv," for i in range(9)]
    with pytest.raises(ConfigError, match=r"line 9: .*column 'at' of log\.txt has no ts in its"):
        hold(GOOD, "\n".join(["uid,iid,code,at", *rows]) + "\n")


def test_a_file_of_empty_lines_is_said_to_name_no_columns():
    with pytest.raises(ConfigError, match=r"line 3: .*log\.txt names no columns: nothing stands"):
        hold(GOOD, "\n" * 9)


@pytest.mark.parametrize("letter", ["\\u0000", "\\n", "\\r"])
def test_what_ends_a_line_or_a_text_parts_no_columns(letter):
    with pytest.raises(ConfigError, match=r"line 5: .*parts no columns"):
        hold(GOOD.replace('format = "csv"', f'format = "csv"\ndelimiter = "{letter}"'))


@pytest.mark.parametrize(
    ("days", "line", "said"),
    [
        ("first_day = 2018-01-01", 2, "the valid days, from 2018-01-01 on"),
        ("last_day = 2017-01-01", 2, "the valid days, up to 2017-01-01"),
        ("first_day = 2017-01-01\nlast_day = 2017-01-02", 3, "2017-01-01 to 2017-01-02"),
    ],
)
def test_a_log_outside_the_valid_days_is_told_which_they_are(days, line, said):
    with pytest.raises(ConfigError, match=rf"line {line}: .*{said}"):
        hold(GOOD.replace("first_day = 2017-11-25", days))


def test_the_wrong_number_of_columns_is_refused():
    bare = 'header = false\ncolumns = ["uid", "iid", "code", "at", "more"]'
    with pytest.raises(ConfigError, match=r"line 6: .*has 4 columns between ',', not 5"):
        hold(GOOD.replace('format = "csv"', f'format = "csv"\n{bare}'), "\n".join(ROWS))


def test_places_of_ignored_rows_need_no_meaning():
    description = GOOD.replace('buy = "purchase"', "").replace(
        "[behaviors.map]", 'ignore_types = ["buy"]\nscenarios = { w = "ad" }\n[behaviors.map]'
    )
    rows = [f"{row},{'x' if ',buy,' in row else 'w'}" for row in ROWS]
    hold(
        description.replace('ts = "at"', 'ts = "at"\nscenario = "place"'),
        "\n".join(["uid,iid,code,at,place", *rows]) + "\n",
    )


def test_ignored_rows_need_no_price():
    """A log of page views, of which purchases alone are wanted."""
    description = GOOD.replace('pv = "click"', "").replace(
        "[behaviors.map]", 'ignore_types = ["pv"]\n[behaviors.map]'
    )
    rows = [f"{row},{'-' if ',pv,' in row else 3}" for row in ROWS]
    hold(description, "\n".join(["uid,iid,code,at,price", *rows]) + "\n")
    rows = [row.replace(",3", ",x") for row in rows]
    with pytest.raises(ConfigError, match="no price: 'x'"):
        hold(description, "\n".join(["uid,iid,code,at,price", *rows]) + "\n")


def test_a_few_prices_that_are_none_are_left_to_events():
    rows = [f"{row},{'free' if i % 3 == 0 else i}" for i, row in enumerate(ROWS)]
    hold(GOOD, "\n".join(["uid,iid,code,at,price", *rows]) + "\n")
    with pytest.raises(ConfigError, match=r"line 5: .*'price' of log\.txt .* no price: '0,5'"):
        hold(GOOD, "\n".join(["uid,iid,code,at,price", *[f'{row},"0,5"' for row in ROWS]]) + "\n")


def test_an_empty_id_column_is_refused():
    empty = LOG.replace("uid,", "uid,").replace("\nu", "\n,u").replace(",u", ",")
    with pytest.raises(ConfigError):
        hold(GOOD, empty)


@pytest.mark.parametrize(
    ("column", "line"), [("type", r"line 8: .*'code'"), ("scenario", r"line 5: .*'scenario'")]
)
def test_lists_are_no_codes(column, line):
    rows = {"uid": ["u"], "iid": ["i"], "code": ["pv"], "at": [1_512_000_000], "_text": [None]}
    lists = {"code" if column == "type" else column: [["pv", "buy"]]}
    with pytest.raises(
        ConfigError, match=rf"{line} of log\.parquet is no {column}: \['pv', 'buy'\]"
    ):
        check(
            parse_description(GOOD, "mine.toml"),
            "behaviors",
            "log.parquet",
            pa.table({name: values * 9 for name, values in (rows | lists).items()}),
        )


def test_a_log_without_a_single_type_is_refused():
    rows = [row.replace(",pv,", ",,").replace(",buy,", ",,") for row in ROWS]
    with pytest.raises(ConfigError, match=r"line 8: .*'code' of log\.txt has no type in its first"):
        hold(GOOD, "\n".join(["uid,iid,code,at", *rows]) + "\n")


def test_a_single_dirty_row_is_left_to_events():
    hold(GOOD, LOG + "u,i,lok,1512000000\n" + "u,i,pv,soon\n" + "u,i\n")


def test_the_wrong_encoding_is_refused():
    description = GOOD.replace('format = "csv"', 'format = "csv"\nencoding = "ascii"')
    with pytest.raises(ConfigError, match=r"line 5: behaviors\.encoding"):
        hold(description, LOG.replace(",i", ",\u4e2d"))


@pytest.mark.parametrize(
    ("zone", "said", "unzoned", "refused"),
    [
        ("Asia/Shanghai", "", True, True),
        ("Asia/Shanghai", 'zone = "UTC"', True, False),
        ("Asia/Shanghai", 'zone = "Asia/Shanghai"', True, False),
        ("Asia/Shanghai", "", False, False),
        ("UTC", "", True, False),
    ],
)
def test_timestamps_without_a_zone_have_it_said_unless_the_log_is_of_utc(
    zone, said, unzoned, refused
):
    named = f'name = "mine"\ntime_zone = "{zone}"\n'
    dataset = parse_description(f"{named}[behaviors]\n[behaviors.time]\n{said}", "mine.toml")
    kind = pa.timestamp("us", tz=None if unzoned else "UTC")
    rows = {"user_id": "u", "item_id": "i", "type": "click", "_text": None}
    sample = pa.table({name: [value] * 2 for name, value in rows.items()})
    sample = sample.append_column("ts", pa.array([1_772_000_000_000_000] * 2).cast(kind))
    told = r"^mine\.toml line 4: behaviors\.time\.zone: column 'ts' of log\.parquet .*"
    told += r'time = \{ zone = "UTC" \}.*time = \{ zone = "Asia/Shanghai" \}\.$'
    with pytest.raises(ConfigError, match=told) if refused else nullcontext():
        check(dataset, "behaviors", "log.parquet", sample)


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()], ids=str)
@pytest.mark.parametrize("said", ['unit = "ms"', 'format = "%d.%m.%Y"'])
def test_a_column_of_dates_asks_for_the_format_that_reads_it(kind, said):
    text = f'name = "mine"\n[behaviors]\n[behaviors.time]\n{said}\n'
    rows = {"user_id": "u", "item_id": "i", "type": "click", "_text": None}
    sample = pa.table({name: [value] * 2 for name, value in rows.items()})
    sample = sample.append_column("ts", pa.array([20_513, None], pa.date32()).cast(kind))
    told = r"line 4: .* as [^:]*: '2026-03-01'\. It is a date: write time = \{ (.*) \}\.$"
    with pytest.raises(ConfigError, match=told) as it:
        check(parse_description(text, "mine.toml"), "behaviors", "log.parquet", sample)
    mend = re.search(told, str(it.value))[1]
    check(parse_description(text.replace(said, mend), "m.toml"), "behaviors", "l.parquet", sample)
