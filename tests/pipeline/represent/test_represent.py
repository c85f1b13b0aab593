"""The table of representations: what serving would say, and only what has changed is made anew."""

import shutil
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from features.schemas import BehaviorType, Scenario
from infra.errors import RegistryError
from infra.registry import MODEL
from infra.store import Store
from pipeline import steps
from pipeline.release import standing
from pipeline.release.incumbent import registry_of
from pipeline.represent import represented, representing
from serving import bundle as bundles
from serving.answering import answer
from serving.contracts import PastBehavior, Question
from tests.chain import DAYS, logged_bundle, smoke

BEFORE, DAY = DAYS[-2:]


@pytest.fixture(scope="module")
def home(chain, tmp_path_factory):
    """A copy of the chain's home with tables of two days."""
    target = tmp_path_factory.mktemp("represent") / "home"
    shutil.copytree(chain.settings.home, target)
    settings = smoke(target)
    return settings, steps.represent(settings, BEFORE), steps.represent(settings, DAY)


def table(settings, day):
    return representing.table_of(settings.store, key(settings), day).table()


def key(settings):
    return registry_of(settings).champion().tags["run_key"]


def numbers(found):
    flat = found["representation"].combine_chunks().flatten().to_numpy()
    return flat.reshape(found.num_rows, -1)


def history_of(store, day):
    return store.partition("sequences", day, "history").table()


def active_on(store, day):
    behaviors = store.partition("events", day, "behaviors").table(["user_id"])
    return set(behaviors["user_id"].to_pylist())


def test_a_row_a_user_in_hash_order_with_256_floats_like_the_model(home):
    settings, _, told = home
    found = table(settings, DAY)
    known = pa.compute.unique(history_of(settings.store, DAY)["user_id"])
    assert sorted(found["user_id"].to_pylist()) == sorted(known.to_pylist())
    assert found["user_hash"].to_pylist() == sorted(found["user_hash"].to_pylist())
    width = settings.model.rep_dim
    assert found.schema.field("representation").type == pa.list_(pa.float32(), width)
    assert np.isfinite(numbers(found)).all()
    assert set(found["model"].to_pylist()) == {key(settings)}
    assert set(found["version"].to_pylist()) == {1}
    assert told["users"] == found.num_rows


def test_users_are_represented_as_serving_represents_them(home, chain):
    """The oracle: the logged bundle, asked at the end of the day with the same raw history."""
    settings, *_ = home
    past = history_of(settings.store, DAY)
    profiles = {
        row.pop("user_id"): {k: v for k, v in row.items() if k != "user_hash" and v is not None}
        for row in settings.store.latest("events", DAY, "users").table().to_pylist()
    }
    end = int(np.datetime64(DAY + timedelta(days=1), "ms").astype(np.int64))
    found = table(settings, DAY)
    fresh = found.filter(pa.compute.equal(found["as_of"], DAY))
    users = fresh["user_id"].to_pylist()[:12]
    questions = [
        Question(
            user_id=user,
            ts=_time(end),
            profile=profiles.get(user, {}),
            history=[
                PastBehavior(
                    item_id=row["item_id"],
                    type=BehaviorType(row["type"]).name.lower(),
                    scenario=Scenario(row["scenario"]).name.lower(),
                    ts=_time(row["ts"]),
                )
                for row in past.filter(pa.compute.equal(past["user_id"], user)).to_pylist()
            ],
        )
        for user in users
    ]
    said = answer(bundles.load(logged_bundle(chain)), questions)
    np.testing.assert_allclose(
        numbers(fresh)[: len(users)], [one.representation for one in said], atol=1e-5
    )


def _time(ms):
    return np.datetime64(ms, "ms").item()


def test_only_users_with_a_behaviour_since_are_made_anew(home):
    settings, first, second = home
    before, now = table(settings, BEFORE), table(settings, DAY)
    active = active_on(settings.store, DAY)
    as_of = dict(zip(now["user_id"].to_pylist(), now["as_of"].to_pylist(), strict=True))
    assert {user for user, day in as_of.items() if day == DAY} == active
    assert 0 < second["carried"] < second["users"]
    assert first["carried"] == 0
    old = dict(zip(before["user_id"].to_pylist(), numbers(before), strict=True))
    for user, vector in zip(now["user_id"].to_pylist(), numbers(now), strict=True):
        if as_of[user] == BEFORE:
            np.testing.assert_array_equal(vector, old[user])


def test_where_events_since_the_table_before_were_swept_everybody_is_made_anew(
    home, tmp_path, caplog
):
    settings = smoke(shutil.copytree(home[0].home, tmp_path / "home"))
    users = table(settings, DAY)["user_hash"]
    representing.table_of(settings.store, key(settings), DAY).remove()
    settings.store.partition("events", DAY, "behaviors").remove()
    with caplog.at_level("INFO"):
        told = steps.represent(settings, DAY)
    assert (told["encoded"], told["carried"]) == (len(users), 0)
    assert set(table(settings, DAY)["as_of"].to_pylist()) == {DAY}
    assert f"the events of {DAY} are gone" in caplog.text


def test_who_did_something_that_had_arrived_ahead_of_its_time_is_made_anew_on_its_day(
    chain, tmp_path
):
    """A clock that goes ahead: ten minutes into the day, and the log of the day before has it."""
    mine = smoke(shutil.copytree(chain.settings.home, tmp_path / "home"), "events.max_future_s=900")
    known = set(history_of(mine.store, BEFORE)["user_id"].to_pylist())
    user = min(known - active_on(mine.store, DAY) - active_on(mine.store, BEFORE))
    raw = mine.store.partition("raw", BEFORE, "behaviors")
    rows = raw.table()
    ahead = int(np.datetime64(DAY, "ms").astype(np.int64)) + 600_000
    row = {**rows.slice(0, 1).to_pylist()[0], "user_id": user, "ts": ahead}
    with raw.publish(**raw.manifest().lineage) as out:
        more = pa.Table.from_pylist([row], rows.schema)
        out.record([out.write_table("rows", pa.concat_tables([rows, more]))])
    steps.events(mine, BEFORE)
    for day in (BEFORE, DAY):
        steps.sequences(mine, day)
        steps.represent(mine, day)
    assert user not in active_on(mine.store, DAY)
    before, now = (
        table(mine, day).filter(pa.compute.equal(table(mine, day)["user_id"], user))
        for day in (BEFORE, DAY)
    )
    assert (before["as_of"].to_pylist(), now["as_of"].to_pylist()) == ([BEFORE], [DAY])
    assert np.abs(numbers(before) - numbers(now)).max() > 1e-4
    others = [one for one in table(mine, DAY)["as_of"].to_pylist() if one == BEFORE]
    assert len(others) > 0


def test_where_the_histories_of_the_table_before_are_others_now_everybody_is_made_anew(
    home, tmp_path, caplog
):
    """A backfill has taken somebody out, who did nothing since: a vector of his stays nowhere."""
    settings = smoke(shutil.copytree(home[0].home, tmp_path / "home"))
    representing.table_of(settings.store, key(settings), DAY).remove()
    old, new = (settings.store.partition("sequences", day, "history") for day in (BEFORE, DAY))
    quiet = sorted(set(old.table()["user_id"].to_pylist()) - active_on(settings.store, DAY))[0]
    for history in (old, new):
        without(history, quiet)
    with caplog.at_level("INFO"):
        told = steps.represent(settings, DAY)
    found = table(settings, DAY)
    assert (told["carried"], told["encoded"]) == (0, found.num_rows)
    assert quiet not in found["user_id"].to_pylist()
    assert f"the sequences of {BEFORE} are others now" in caplog.text


def without(history, user):
    """Publish histories again without somebody's."""
    table = history.table().combine_chunks()
    table = table.filter(pa.compute.not_equal(table["user_id"], user))
    with history.publish(**history.manifest().lineage) as out:
        out.record([out.write_table("part-0", table, low=0, high=2**64)])


@pytest.mark.parametrize("left", [True, False])
def test_where_nothing_tells_that_the_histories_before_are_the_same_everybody_is_made_anew(
    home, tmp_path, caplog, left
):
    """Once they are swept the day after says what it was made from, until it is swept, too."""
    settings = smoke(shutil.copytree(home[0].home, tmp_path / "home"))
    for day in (BEFORE, DAY):
        representing.table_of(settings.store, key(settings), day).remove()
    steps.represent(settings, DAYS[-3])
    for day in (DAYS[-3], *([] if left else [BEFORE])):
        settings.store.partition("sequences", day, "history").remove()
    with caplog.at_level("INFO"):
        told = steps.represent(settings, DAY)
    assert (told["carried"] > 0) == left
    assert ("nothing tells" in caplog.text) != left


def test_who_has_no_history_any_more_is_not_carried_over(home, tmp_path):
    settings = smoke(shutil.copytree(home[0].home, tmp_path / "home"))
    before = representing.table_of(settings.store, key(settings), BEFORE)
    representing.table_of(settings.store, key(settings), DAY).remove()
    history = settings.store.partition("sequences", DAY, "history")
    users = set(history.table()["user_id"].to_pylist())
    quiet = sorted(users - active_on(settings.store, DAY))[0]
    without(history, quiet)
    told = steps.represent(settings, DAY)
    assert quiet in before.table()["user_id"].to_pylist()
    assert set(table(settings, DAY)["user_id"].to_pylist()) == users - {quiet}
    assert told["carried"] > 0


def test_again_is_the_same_bytes(home):
    settings, *_ = home
    before = representing.table_of(settings.store, key(settings), DAY).digest()
    steps.represent(settings, DAY)
    assert representing.table_of(settings.store, key(settings), DAY).digest() == before


def in_other_buckets(history, count):
    """The same users, in files of other borders."""
    table, size = history.table(), 2**64 // count
    hashes = table["user_hash"].to_numpy()
    with history.publish(**history.manifest().lineage) as out:
        for low in range(0, size * count, size):
            mine = (hashes >= np.uint64(low)) & (hashes <= np.uint64(low + size - 1))
            rows = table.filter(pa.array(mine))
            out.record([out.write_table(f"part-{low:016x}", rows, low=low, high=low + size)])


def test_after_days_without_a_table_and_in_other_buckets_nobody_is_missed(home, tmp_path):
    settings = smoke(shutil.copytree(home[0].home, tmp_path / "home"))
    users = table(settings, DAY)["user_hash"]
    for day in (BEFORE, DAY):
        representing.table_of(settings.store, key(settings), day).remove()
    steps.represent(settings, DAYS[-3])
    in_other_buckets(settings.store.partition("sequences", DAY, "history"), 3)
    told = steps.represent(settings, DAY)
    found = table(settings, DAY)
    assert found["user_hash"].equals(users)
    made = found.filter(pa.compute.equal(found["as_of"], DAY))["user_id"].to_pylist()
    since = active_on(settings.store, BEFORE) | active_on(settings.store, DAY)
    assert set(made) == since > active_on(settings.store, DAY)
    assert 0 < told["carried"] == len(users) - len(since)


def test_old_tables_go_but_the_newest_of_champion_and_previous_stay(home, tmp_path):
    settings = smoke(shutil.copytree(home[0].home, tmp_path / "home"))
    client, champion = registry_of(settings).client, registry_of(settings).champion()
    tags = {"run_key": "line-previous"}
    client.create_model_version(MODEL, champion.source, champion.run_id, tags=tags)
    client.set_registered_model_alias(MODEL, "previous", "2")
    store, after = settings.store, DAY + timedelta(days=1)
    for run, days in (("line-previous", (BEFORE, DAY)), ("line-other", (DAY, after))):
        for day in days:
            lay(store, run, day)
    swept = DAY + timedelta(days=settings.represent.keep_days)
    assert representing.sweep(settings, swept) == 3
    left = {run: representing.days_of(store, run) for run in represented.keys_of(store)}
    assert left == {key(settings): [DAY], "line-previous": [DAY], "line-other": [after]}


def test_status_names_the_table_of_the_champion(home):
    settings, *_ = home
    named = standing.status(settings)["representations"]
    assert named.endswith(f"representations/{key(settings)}/dt={DAY}")


def test_without_a_champion_nobody_is_represented(tmp_path):
    with pytest.raises(RegistryError, match="nobody to represent"):
        steps.represent(smoke(tmp_path), DAY)


def lay(store: Store, run: str, day: date, parent: str = "", number: int = 1) -> None:
    with store.partition("checkpoints", None, run, "final").publish(parent=parent, days=[]):
        pass
    with representing.table_of(store, run, day).publish(representation=number):
        pass


def test_only_an_ancestors_table_of_the_same_dimensions_is_carried_on(tmp_path):
    store, days = Store(tmp_path), [DAY + timedelta(days=i) for i in range(4)]
    lay(store, "line-a", days[0])
    lay(store, "line-bad", days[1], parent="line-a")  # rolled back: nobody's ancestor
    lay(store, "line-c", days[2], parent="line-a")
    found = representing.newest(store, "line-c", days[2], 1)
    assert found.key.startswith("representations/line-a/")
    assert representing.newest(store, "line-c", days[3], 1).key.startswith(
        "representations/line-c/"
    )
    assert representing.newest(store, "line-c", days[2], 2) is None
