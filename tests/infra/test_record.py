"""A small file that is empty or cut off is named with what to do."""

import pytest

from infra.config import Config
from infra.errors import RecordCorrupt
from infra.manifest import Manifest
from infra.record import loaded, reading


class Kept(Config):
    """A record."""

    day: str
    rows: int


@pytest.mark.parametrize("content", [b"", b"null", b"[1]", b'{"day": "2026', b"\xff\x00"])
def test_what_is_no_json_object_is_named_with_what_to_do(content):
    with pytest.raises(RecordCorrupt, match=r"^reports/x\.json cannot be read \(.+\)\. Run it\.$"):
        loaded(content, "reports/x.json", "Run it.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"day": "2026', "1 validation error for Kept Invalid JSON: EOF while parsing a string"),
        (b'{"day": "2026-03-02", "rows": "many"}', "rows Input should be a valid integer"),
    ],
    ids=["cut off", "another's"],
)
def test_a_model_that_is_none_is_told_in_one_line(content, said):
    with pytest.raises(RecordCorrupt) as told, reading("reports/x.json", "Run it."):
        Kept.model_validate_json(content)
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert "pydantic" not in str(told.value)


def test_a_field_that_is_absent_is_named():
    with (
        pytest.raises(RecordCorrupt, match=r"it does not say 'table'"),
        reading("current.json", "Run it."),
    ):
        loaded(b"{}", "current.json", "")["table"]


@pytest.mark.parametrize("content", [b"null", b"[]", b"3", b""])
def test_a_manifest_that_is_no_object_is_none(content):
    with pytest.raises(ValueError, match=r"no JSON object|Expecting value"):
        Manifest.read(content)


def test_of_a_long_reason_the_beginning_is_told():
    with pytest.raises(RecordCorrupt) as told, reading("reports/x.json", "Run it."):
        raise ValueError("long " * 100)
    said = (
        str(told.value).removeprefix("reports/x.json cannot be read (").removesuffix("). Run it.")
    )
    assert (len(said), said[-3:]) == (200, "...")
    assert ("long " * 100).startswith(said[:-3])


def test_a_list_where_an_object_should_be_is_told():
    with (
        pytest.raises(RecordCorrupt, match="'list' object has no attribute 'get'"),
        reading("x", ""),
    ):
        loaded(b'{"night": []}', "x", "")["night"].get("day")
