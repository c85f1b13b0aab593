import numpy as np
import pyarrow as pa
import pytest

from evaluation import predictions, questions
from infra.errors import PartitionCorrupt, TrainingError
from infra.store import Store
from tests.evaluation import synthetic
from tests.training.conftest import FIRST, write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return write_store(tmp_path_factory.mktemp("asked"), days=1, moments=120)


def test_flat_arrays_hold_every_question_once(store):
    asked = questions.read(store, FIRST)
    rows = store.partition("samples", FIRST).table().to_pylist()
    flat = [
        (m, *answer)
        for m, row in enumerate(rows)
        for answer in zip(
            *(row[f"cand_{name}"] or [] for name in ("item", "clicked", "label", "purchased")),
            strict=True,
        )
    ]
    block = asked.candidates
    found = zip(block.moment, block.item, block.clicked, block.label, block.purchased, strict=True)
    assert [tuple(map(int, row)) for row in found] == flat
    levels = [(m, row["price_level"] - 1) for m, row in enumerate(rows) if row["price_level"]]
    assert list(zip(asked.prices.moment, asked.prices.level, strict=True)) == levels
    icons = [(m, i) for m, row in enumerate(rows) for i in row["icon"] or []]
    assert list(zip(asked.icons.moment, asked.icons.icon, strict=True)) == icons
    assert asked.moments.sample_id.tolist() == [row["sample_id"] for row in rows]
    assert asked.moments.history.tolist() == [len(row["seq_item"]) for row in rows]


def test_users_are_numbered_in_row_order(store):
    asked = questions.read(store, FIRST)
    ids = store.partition("samples", FIRST).table(["user_id"])["user_id"].to_pylist()
    number = {user: n for n, user in enumerate(dict.fromkeys(ids))}
    assert asked.moments.user.tolist() == [number[user] for user in ids]


def test_a_day_without_moments_asks_nothing(tmp_path):
    asked = questions.read(write_store(tmp_path, days=1, moments=0), FIRST)
    assert asked.users == 0
    assert len(asked.candidates.item) == 0


def test_a_column_that_came_after_a_day_is_null_there_and_read_where_it_is(store, tmp_path):
    asked = ("price_offer", "sample_id")
    whole = pa.concat_tables(questions.tables(store, FIRST, asked))
    known = store.partition("samples", FIRST).table()
    assert whole.equals(known.select(list(asked)))
    assert 0 < whole["price_offer"].null_count < len(whole)
    older = Store(tmp_path).partition("samples", FIRST)
    with older.publish() as out:
        out.record([out.write_table("part", known.drop_columns("price_offer"))])
    (table,) = questions.tables(Store(tmp_path), FIRST, asked)
    assert table.column_names == list(asked)
    assert table["price_offer"].null_count == len(table) == len(known)
    assert table["sample_id"].to_pylist() == known["sample_id"].to_pylist()
    with pytest.raises(PartitionCorrupt, match="offer"):
        list(questions.tables(Store(tmp_path), FIRST, ("offer", "sample_id")))


def test_saved_predictions_come_back_the_same(tmp_path):
    drawn, truth = synthetic.questions(users=10)
    made = synthetic.predictions(drawn, truth)
    place = Store(tmp_path).partition("reports", None, "offline", "k", "answers")
    predictions.save(made, place)
    back = predictions.load(place)
    assert back.answers.ppp.shape == made.answers.ppp.shape
    assert np.array_equal(back.answers.ppp, made.answers.ppp)
    assert np.array_equal(back.answers.ctr, made.answers.ctr)
    assert back.questions.moments.sample_id.tolist() == drawn.moments.sample_id.tolist()
    assert np.array_equal(back.questions.candidates.clicked, drawn.candidates.clicked)
    assert back.lineage["day"] == "2026-03-12"


def test_selecting_moments_keeps_each_answer_with_its_question():
    drawn, truth = synthetic.questions(users=20)
    made = synthetic.predictions(drawn, truth)
    keep = drawn.moments.user % 3 == 1
    some = made.select(keep)
    kept = keep[drawn.candidates.moment]
    assert np.array_equal(some.answers.ctr, made.answers.ctr[kept])
    assert np.array_equal(some.questions.candidates.item, drawn.candidates.item[kept])
    assert some.questions.users == len(np.unique(drawn.moments.user[keep]))
    ids = some.questions.moments.sample_id[some.questions.candidates.moment]
    assert ids.tolist() == drawn.moments.sample_id[drawn.candidates.moment[kept]].tolist()


def test_missing_answers_are_refused():
    drawn, truth = synthetic.questions(users=4)
    made = synthetic.predictions(drawn, truth)
    broken = predictions.Answers(**{**made.answers.__dict__, "ctr": made.answers.ctr[:-1]})
    with pytest.raises(TrainingError, match="answered 199 of 200 ctr questions"):
        predictions.Predictions(drawn, broken)
