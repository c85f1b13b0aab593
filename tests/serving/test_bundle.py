"""What a bundle answers, asked as a caller asks: raw ids and history in."""

import json
import shutil
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from features.ranking import NAMES
from features.schemas import VOCABULARY
from infra.errors import InputError, PartitionCorrupt
from infra.store import Store
from pipeline.learn.learning import candidate
from serving import bundle as bundles
from serving.answering import answer
from serving.contracts import PastBehavior, question
from tests.chain import EVALUATED, logged_bundle, recorded_questions

MOMENT = datetime(2026, 3, 5, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle(chain):
    return bundles.load(logged_bundle(chain))


@pytest.fixture(scope="module")
def recorded(chain):
    return recorded_questions(chain)


@pytest.fixture(scope="module")
def asked(recorded):
    """A question with a long history and candidates."""
    longest = max(recorded, key=lambda one: len(one["question"]["history"]))
    return question(longest["question"])


def one(bundle, asked):
    return answer(bundle, [asked])[0]


def same(left, right, **tolerance):
    np.testing.assert_allclose(left.ctr, right.ctr, **tolerance)
    np.testing.assert_allclose(left.l2r, right.l2r, **tolerance)
    np.testing.assert_allclose(left.price_preference, right.price_preference, **tolerance)
    np.testing.assert_allclose(left.representation, right.representation, **tolerance)


def test_it_answers_as_evaluation_did(bundle, recorded):
    answers = answer(bundle, [question(record["question"]) for record in recorded])
    for record, got in zip(recorded, answers, strict=True):
        np.testing.assert_allclose(got.ctr, record["ctr"], atol=1e-5, rtol=0)
        np.testing.assert_allclose(got.l2r, record["l2r"], atol=1e-5, rtol=0)


def test_what_evaluation_recorded_is_worth_comparing(recorded):
    assert len(recorded) == 32
    scores = np.concatenate([record["ctr"] for record in recorded])
    assert scores.std() > 0.001
    assert max(len(record["question"]["history"]) for record in recorded) >= 5
    assert any(record["question"]["query"] for record in recorded)
    assert any(record["question"]["profile"] for record in recorded)


def test_a_column_that_the_shop_got_later_is_left_out(chain, bundle, recorded, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.folder, folder)
    one = Store(folder / "store").partition("vocabulary", bundle.day, "profile_abode")
    rows = pa.table({"id": ["town"], "row": [2], "count": [1]}).cast(VOCABULARY)
    with one.publish() as out:
        out.record([out.write_table("part", rows)])
    later = bundles.load(folder)
    assert [words.feature for words in later.profile] == list(bundle.model.sizes.profile_names)
    questions = [question(record["question"]) for record in recorded[:6]]
    for got, told in zip(answer(later, questions), answer(bundle, questions), strict=True):
        same(got, told, atol=0)


def test_questions_answered_together_are_answered_as_alone(bundle, recorded):
    questions = [question(record["question"]) for record in recorded[:6]]
    for together, asked in zip(answer(bundle, questions), questions, strict=True):
        same(together, one(bundle, asked), atol=1e-5)


def test_the_order_of_a_history_does_not_matter(bundle, asked):
    times = [behavior.ts for behavior in asked.history]
    apart = {behavior.ts: behavior for behavior in asked.history}  # equal times keep their order
    assert len(apart) > len(times) // 2
    given = asked.model_copy(update={"history": list(apart.values())})
    turned = asked.model_copy(update={"history": list(apart.values())[::-1]})
    same(one(bundle, given), one(bundle, turned), rtol=0)


@pytest.mark.parametrize("late_s", [0, 1, 86_400])
def test_behaviours_at_or_after_the_moment_change_nothing(bundle, asked, late_s):
    at = datetime.fromtimestamp(asked.ts.timestamp() + late_s, UTC)
    later = PastBehavior(item_id=asked.candidates[0], type="purchase", ts=at)
    more = asked.model_copy(update={"history": [later, *asked.history]})
    same(one(bundle, more), one(bundle, asked), rtol=0)


def test_a_behaviour_before_the_moment_changes_the_answer(bundle, asked):
    at = datetime.fromtimestamp(asked.ts.timestamp() - 0.001, UTC)
    before = PastBehavior(item_id=asked.candidates[0], type="purchase", ts=at)
    more = asked.model_copy(update={"history": [*asked.history, before]})
    assert np.abs(one(bundle, more).ctr - one(bundle, asked).ctr).max() > 1e-6


def test_only_the_last_hundred_behaviours_count(bundle, asked):
    start = asked.ts.timestamp() - 1_000
    history = [
        PastBehavior(item_id=asked.candidates[i % 3], ts=datetime.fromtimestamp(start + i, UTC))
        for i in range(150)
    ]
    whole = asked.model_copy(update={"history": history})
    newest = asked.model_copy(update={"history": history[-100:]})
    same(one(bundle, whole), one(bundle, newest), rtol=0)


UNHEARD_OF = PastBehavior(item_id="no", ts=datetime(2026, 3, 1, tzinfo=UTC))
UNKNOWN = {
    "an unknown item": {"candidates": ["never seen"]},
    "an unknown item in the history": {"history": [UNHEARD_OF]},
    "an unknown user": {"user_id": "nobody"},
    "an unknown query": {"query": "qwertyuiop zxcvbnm", "scenario": "search"},
    "an empty query": {"query": "", "scenario": "search"},
    "no history": {"history": []},
    "no candidates": {"candidates": []},
    "no profile": {"profile": {}},
    "an unknown profile value": {"profile": {"style": "?", "no such column": "x"}},
    "a moment long after the bundle's day": {"ts": datetime(2031, 1, 1, tzinfo=UTC)},
    "nothing at all": {
        "history": [], "candidates": [], "profile": {}, "query": None, "user_id": "",
    },
}  # fmt: skip


@pytest.mark.parametrize("what", UNKNOWN)
def test_is_answered(bundle, asked, what):
    changed = asked.model_copy(update=UNKNOWN[what])
    got = one(bundle, changed)
    assert len(got.ctr) == len(got.l2r) == len(changed.candidates)
    assert np.isfinite(np.concatenate([got.ctr, got.l2r, got.representation])).all()
    assert ((got.ctr > 0) & (got.ctr < 1)).all()
    assert got.price_preference.sum() == pytest.approx(1, abs=1e-5)


def test_no_question_has_no_answer(bundle):
    assert answer(bundle, []) == []


WRONG = {
    "ts": {"ts": "yesterday"},
    "scenario": {"ts": MOMENT, "scenario": "shop window"},
    "history.0.type": {"ts": MOMENT, "history": [{"item_id": "a", "type": "buy", "ts": MOMENT}]},
    "history.1.ts": {"ts": MOMENT, "history": [{"item_id": "a", "ts": MOMENT}, {"item_id": "b"}]},
    "histroy": {"ts": MOMENT, "histroy": []},
    "candidates.1": {"ts": MOMENT, "candidates": ["a", 7]},
}


@pytest.mark.parametrize("field", WRONG)
def test_a_bad_field_is_refused_by_name(field):
    with pytest.raises(InputError, match=f"^{field} is refused: .*input example"):
        question(WRONG[field])


def test_it_needs_no_home(chain, tmp_path, recorded):
    alone = tmp_path / "elsewhere"
    shutil.copytree(logged_bundle(chain), alone)
    text = "".join(
        file.read_text() for file in alone.rglob("*.json") if file.name != "recorded.json"
    )
    assert chain.settings.home not in text
    got = one(bundles.load(alone), question(recorded[0]["question"]))
    np.testing.assert_allclose(got.ctr, recorded[0]["ctr"], atol=1e-5, rtol=0)


def test_it_says_whose_it_is(chain, bundle):
    assert bundle.key == candidate(chain.settings, EVALUATED).key
    assert bundle.day == EVALUATED


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(PartitionCorrupt, match="is not a bundle"):
        bundles.load(tmp_path)


@pytest.mark.parametrize(
    ("features", "names", "told"),
    [
        (len(NAMES), NAMES, None),
        (len(NAMES), None, None),  # written before they were noted
        (len(NAMES), NAMES[::-1], "in another order"),
        (len(NAMES) + 1, None, f"weighs {len(NAMES) + 1} ranking features"),
    ],
)
def test_a_network_that_weighs_other_ranking_features_than_are_computed_is_refused(
    bundle, features, names, told
):
    sizes = bundle.model.sizes.plain() | {"ranking_features": features}
    sizes = {k: v for k, v in sizes.items() if k != "ranking_names" or names}
    sizes |= {"ranking_names": list(names)} if names else {}
    content = json.loads((bundle.folder / "bundle.json").read_text()) | {"sizes": sizes}
    with (bundle.folder / "model.pt").open("rb") as weights:
        if told is None:
            assert not bundles.network(content, weights).training
        else:
            with pytest.raises(PartitionCorrupt, match=told):
                bundles.network(content, weights)


def test_a_network_of_other_properties_than_are_told_is_refused(bundle):
    content = json.loads((bundle.folder / "bundle.json").read_text())
    content["sizes"]["property_names"].append("parity")
    with (
        (bundle.folder / "model.pt").open("rb") as weights,
        pytest.raises(PartitionCorrupt, match=r"weekend, parity of .* the line anew"),
    ):
        bundles.network(content, weights)


def test_another_format_is_refused(tmp_path):
    (tmp_path / "bundle.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(PartitionCorrupt, match=r"has format 99, this version reads 1\. .* again"):
        bundles.load(tmp_path)
