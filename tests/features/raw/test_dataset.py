from pathlib import Path

import pytest

from features.raw.dataset import load, parse_description
from infra.errors import ConfigError
from infra.toml_lines import line_number

GOOD = """\
name = "mine"
time_zone = "Asia/Shanghai"

[behaviors]
files = "log*.csv"
format = "csv"
header = false
columns = ["uid", "iid", "code", "at"]

[behaviors.map]
user_id = "uid"
item_id = "iid"
type = "code"
ts = "at"

[behaviors.types]
1 = "click"
"2" = "purchase"
"""


@pytest.mark.parametrize("name", ["marketplace", "taobao_userbehavior", "tmall_ijcai15", "rees46"])
def test_the_shipped_data_sets_describe_behaviors(name):
    assert load(name).name == name
    assert "behaviors" in load(name).tables()


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"taobao_userbehavior.*\.toml"):
        load("taobao")
    with pytest.raises(ConfigError, match="does not exist"):
        load(str(tmp_path / "absent.toml"))


def test_a_path_is_as_good_as_a_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    dataset = load(path)
    assert dataset.source == str(path)
    assert dataset.table("behaviors").type_codes() == {"1": "click", "2": "purchase"}


@pytest.mark.parametrize(
    ("before", "after", "line", "about"),
    [
        ('1 = "click"', '1 = "look"', 16, "look"),
        ('type = "code"', 'typ = "code"', 13, "no column typ"),
        ('ts = "at"', 'ts = "when"', 14, "when"),
        ('files = "log*.csv"', 'fils = "log*.csv"', 5, r"not a known key. Did you mean .*\.files"),
        ("[behaviors]", "[behaviours]", 4, "Did you mean behaviors"),
        ('ts = "at"', 'ts = "at"\n[behaviors.constants]\nscenario = "shop"', 16, "search.*unknown"),
        ('ts = "at"', 'ts = "at"\n[behaviors.constants]\nuser_id = "x"', 16, "both mapped and"),
        ("header = false", 'header = false\nconstants = { type = "1" }', 8, "both mapped and"),
        ('type = "code"', '[behaviors.constants]\ntype = "1"', 14, "bookmark.*purchase"),
        ('ts = "at"', '[behaviors.constants]\nts = "1"', 15, "ts is the time of each row"),
        ('ts = "at"', 'ts = "at"\n[behaviors.constants]\nprice = "abc"', 16, "'abc' is no price"),
        (
            '[behaviors.map]\nuser_id = "uid"',
            '[behaviors.constants]\nuser_id = ""\n[behaviors.map]',
            11,
            "each row of behaviors needs a user_id, and this means nothing",
        ),
        ('time_zone = "Asia/Shanghai"', 'time_zone = "Shanghai"', 2, "time zone"),
        ('time_zone = "Asia/Shanghai"', 'time_zone = "localtime"', 2, "time zone"),
        ("header = false", 'header = false\ntime.zone = "Berlin"', 8, "Berlin is not a time zone"),
        (
            'time_zone = "Asia/Shanghai"',
            "first_day = 2026-02-02\nlast_day = 2026-02-01",
            3,
            "last_day: 2026-02-01 lies before first_day, 2026-02-02",
        ),
        ("header = false", 'header = false\nencoding = "utf-16"', 8, "utf-16"),
        ("header = false", 'header = false\nignore_types = ["2"]', 8, "both mapped and ignored"),
        ("header = false", 'header = false\nnulls = ["", "1"]', 18, "'1' is among nulls .'', '1'"),
        ("header = false", 'header = false\nignore_types = [""]', 8, "'' is among nulls .''., so"),
        (
            "header = false",
            'header = false\nscenarios = { "" = "ad" }',
            8,
            "out of nulls or of scen",
        ),
        ('columns = ["uid", "iid", "code", "at"]', "", 4, "list of its columns"),
        (
            "header = false",
            'header = false\nfloat_ids = ["price"]',
            8,
            "price is no id of behaviors",
        ),
        ('item_id = "iid"', 'item_id = "uid"', 12, "user_id and item_id are both 'uid'"),
        ('item_id = "iid"', 'item_id = "iid"\nbrand_id = "iid"', 13, "item_id and brand_id are"),
    ],
)
def test_a_mistake_is_shown_with_file_and_line(before, after, line, about):
    assert before in GOOD
    with pytest.raises(ConfigError, match=about) as error:
        parse_description(GOOD.replace(before, after), "mine.toml")
    shown = str(error.value)
    expected = 15 if about == "look" else line  # the whole table of codes is what is refused
    assert shown.startswith((f"mine.toml line {line}:", f"mine.toml line {expected}:")), shown


def test_an_id_under_its_own_name_is_no_other_one():
    with pytest.raises(ConfigError, match=r"line 3: behaviors\.map\.item_id: .*both 'user_id'"):
        parse_description('name = "x"\n[behaviors.map]\nitem_id = "user_id"\n', "x.toml")


def test_a_place_that_means_unknown_may_be_one_that_means_nothing():
    text = GOOD.replace("header = false", 'header = false\nscenarios = { "" = "unknown" }')
    assert parse_description(text, "mine.toml").table("behaviors").nulls == ("",)


@pytest.mark.parametrize(
    "right",
    [
        '[impressions.map]\nrequest_id = "rid"\nevent_id = "rid"',
        '[items.map]\nshop_id = "brand"\nbrand_id = "brand"',
        '[behaviors]\nfloat_ids = ["brand_id"]\n[behaviors.map]\nbrand_id = "b"',
    ],
)
def test_ids_that_may_be_the_same_are_no_mistake(right):
    assert parse_description(f'name = "x"\n{right}\n', "x.toml").tables()


@pytest.mark.parametrize(
    "said", ['separators = { tags = "" }', '[items.separators]\ntags = ""', 'separators.tags = ""']
)
def test_a_separator_is_at_least_one_character(said):
    line = f"{GOOD}[items]\n{said}\n".count("\n")
    with pytest.raises(ConfigError, match=rf"mine\.toml line {line}: items\.separators\.tags: "):
        parse_description(f"{GOOD}[items]\n{said}\n", "mine.toml")


@pytest.mark.parametrize("wrong", ["%H%M%S%f", "%S,%f", "%f.%f", "%%.%f %f"])
def test_a_fraction_that_would_be_lost_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"mine\.toml line 20: .*time\.format: .*write \.%f"):
        parse_description(f'{GOOD}[behaviors.time]\nformat = "{wrong}"\n', "mine.toml")


@pytest.mark.parametrize("right", ["%S.%f", "%S.%f%z", "%S%%f", "%S"])
def test_a_fraction_behind_a_point_is_no_mistake(right):
    text = f'{GOOD}[behaviors.time]\nformat = "%H:%M:{right}"\n'
    assert parse_description(text, "mine.toml").table("behaviors").time.format == f"%H:%M:{right}"


@pytest.mark.parametrize(
    ("wrong", "about"),
    [
        ("%Y-%m-%dT%H:%M:%SZ", "Z is passed over.*of Asia/Shanghai: write %z in its place"),
        ("%Y-%m-%dT%HZ", "Z is passed over"),
        ("%Y-%m-%d %H:%M:%S UTC", r'UTC is passed over[^%]*: say of which.*zone = "UTC"'),
        ("%Y-%m-%d %H:%M:%S %Z", "%Z is passed over.*write %z"),
        ("%s", 'write unit = "s"'),
    ],
)
def test_a_format_that_would_be_hours_off_is_refused(wrong, about):
    with pytest.raises(ConfigError, match=rf"mine\.toml line 20: .*time\.format: .*{about}"):
        parse_description(f'{GOOD}[behaviors.time]\nformat = "{wrong}"\n', "mine.toml")


@pytest.mark.parametrize(
    ("format_", "zone"),
    [
        *[(f"%Y-%m-%dT%H:%M:%S{one}", "UTC") for one in ("Z", " UTC", " %Z")],
        ("%Y-%m-%d %H:%M:%S %Z", "Europe/Berlin"),
        ("%Y-%m-%dT%H:%M:%SZ", "Asia/Shanghai"),
        ("%a %b %d %Y %H:%M:%S GMT%z", "Asia/Shanghai"),
        ("%Y-%m-%dT%H:%M:%S%z", "Asia/Shanghai"),
        ("%%s %Y", "UTC"),
    ],
)
def test_a_format_whose_zone_is_said_is_no_mistake(format_, zone):
    text = f'{GOOD}[behaviors.time]\nformat = "{format_}"\nzone = "{zone}"\n'
    assert parse_description(text, "mine.toml").table("behaviors").time.format == format_


def test_a_mark_at_the_head_of_the_file_is_no_part_of_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert load(path).text == GOOD


def test_lines_are_found_through_sections_quotes_and_dots():
    text = 'a = 1\n[b."c d"]  # note\n"e f" = 2\ng.h = 3\nlist = [\n  1,\n]\n'
    assert line_number(text, "a") == 1
    assert line_number(text, "b", "c d", "e f") == 3
    assert line_number(text, "b", "c d", "g", "h") == 4
    assert line_number(text, "b", "c d", "list", "0") == 5
    assert line_number(text, "b", "c d", "absent") == 2
    assert line_number(text, "nowhere") == 1


def test_the_example_of_the_documentation_is_a_valid_description():
    docs = Path(__file__).resolve().parents[3] / "docs" / "datasets.md"
    text = docs.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    assert set(parse_description(text, "docs").tables()) == {"behaviors", "items", "users"}


@pytest.mark.parametrize("wrong", ["%Y-%m-%d %I:%M", "%Y-%m-%d %I", "%Y-%m-%d %M", "%H:%S"])
def test_a_format_by_which_no_time_can_be_read_is_refused(wrong):
    said = r"mine\.toml line 20: behaviors\.time\.format: no time can be read by %.*%I\) goes with"
    with pytest.raises(ConfigError, match=said):
        parse_description(f'{GOOD}[behaviors.time]\nformat = "{wrong}"\n', "mine.toml")
