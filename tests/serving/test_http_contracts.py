"""What travels over HTTP is bounded: as long as it may be, and no longer."""

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from serving.http_contracts import (
    Asking,
    Behavior,
    BehaviorsRequest,
    RankRequest,
    SearchRequest,
)

ASKING = {"user_id": "u"}
DONE = {"user_id": "u", "item_id": "i", "type": "cart"}


@pytest.mark.parametrize(
    ("record", "plain", "field", "least", "most"),
    [
        (Asking, ASKING, "user_id", 1, 256),
        (Asking, ASKING, "query", 0, 1024),
        (SearchRequest, ASKING, "query", 1, 1024),
        (Behavior, DONE, "user_id", 1, 256),
        (Behavior, DONE, "item_id", 1, 256),
        (Behavior, DONE, "event_id", 0, 256),
        (Behavior, DONE, "request_id", 0, 256),
    ],
)
def test_a_text_has_its_length(record, plain, field, least, most):
    for length in (least, most):
        assert getattr(record(**{**plain, field: "x" * length}), field) == "x" * length
    for length in {most + 1, least - 1} - {-1}:
        with pytest.raises(ValidationError, match=field):
            record(**{**plain, field: "x" * length})


def test_a_candidate_is_an_id_and_there_is_at_least_one():
    assert RankRequest(**ASKING, candidates=["x" * 256])
    for candidates in ([], [""], ["x" * 257]):
        with pytest.raises(ValidationError, match="candidates"):
            RankRequest(**ASKING, candidates=candidates)


def test_behaviors_come_by_the_ten_thousand_at_most():
    assert len(BehaviorsRequest(behaviors=[DONE] * 10_000).behaviors) == 10_000
    for number in (0, 10_001):
        with pytest.raises(ValidationError, match="behaviors"):
            BehaviorsRequest(behaviors=[DONE] * number)


def test_a_profile_column_that_is_null_is_unknown_and_the_page_says_that_it_may_be():
    body = '{"user_id": "u", "profile": {"age": null, "city": "x"}}'
    assert Asking.model_validate_json(body).profile == {"city": "x"}
    assert Asking.model_validate_json('{"user_id": "u", "profile": null}').profile is None
    with pytest.raises(ValidationError, match=r"profile\.age"):
        Asking.model_validate_json('{"user_id": "u", "profile": {"age": 30}}')
    (column, _) = Asking.model_json_schema()["properties"]["profile"]["anyOf"]
    assert {"type": "null"} in column["additionalProperties"]["anyOf"]


def test_a_behavior_may_say_what_the_raw_log_says_of_it():
    logged = Behavior(**DONE, request_id="r", price=12.5)
    assert (logged.request_id, logged.price) == ("r", 12.5)
    assert Behavior(**DONE, request_id=None, price=None) == Behavior(**DONE)
    for price in (-1, float("inf"), float("nan"), "dear"):
        with pytest.raises(ValidationError, match="price"):
            Behavior(**DONE, price=price)


@pytest.mark.parametrize("record", [Asking, Behavior])
@pytest.mark.parametrize(
    ("written", "hour"),
    [
        ('"2026-03-05T12:00:00Z"', 12),
        ('"2026-03-05T12:00:00+08:00"', 4),
        ("1772712000", 12),
        ("1772712000000", 12),
        ('"1772712000"', 12),
        ('"2026-03-05T12:00:00"', None),
        ('"2026-03-05"', None),
    ],
)
def test_a_time_has_an_offset_or_is_a_number(record, written, hour):
    plain = ASKING if record is Asking else DONE
    body = f'{{{json.dumps(plain)[1:-1]}, "ts": {written}}}'
    if hour is None:
        with pytest.raises(ValidationError, match="timezone"):
            record.model_validate_json(body)
    else:
        at = record.model_validate_json(body).ts
        assert at == datetime(2026, 3, 5, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("record", "field", "wrong"),
    [
        *[(RankRequest, "page", wrong) for wrong in ('"no"', "0", "1.0")],
        *[(RankRequest, "features", wrong) for wrong in ('"off"', "1")],
        *[(RankRequest, "top_k", wrong) for wrong in ('"1"', "true", "1.0")],
        (SearchRequest, "page", '"no"'),
        (SearchRequest, "features", '"off"'),
        (SearchRequest, "top_k", '"1"'),
        *[(Behavior, "price", wrong) for wrong in ("false", '"12.5"')],
        (Behavior, "ts", "true"),
        (Asking, "ts", "true"),
        (Asking, "query", "1"),
    ],
)
def test_a_value_of_another_type_is_refused_and_never_read_as_one(record, field, wrong):
    plain = DONE if record is Behavior else ASKING | {"query": "x"}
    plain |= {"candidates": ["i"]} if record is RankRequest else {}
    body = json.dumps({name: value for name, value in plain.items() if name != field})
    with pytest.raises(ValidationError, match=rf"1 validation error.*\n{field}\n"):
        record.model_validate_json(f'{body[:-1]}, "{field}": {wrong}}}')


def test_a_whole_number_is_a_price_and_a_null_is_no_value():
    for written, price in (("3", 3.0), ("12.5", 12.5), ("null", None)):
        body = f'{json.dumps(DONE)[:-1]}, "price": {written}}}'
        assert Behavior.model_validate_json(body).price == price
    asked = RankRequest(**ASKING, candidates=["i"], top_k=None, page=False, features=True)
    assert (asked.top_k, asked.page, asked.features) == (None, False, True)
