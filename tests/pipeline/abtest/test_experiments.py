"""From a declaration to the ledger, on raw days with planted effects and a real registry."""

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from evaluation.abtest.health import HEALTH
from features.abtest import traffic
from infra.errors import ConfigError, PartitionMissing, RegistryError
from infra.ledger import Entry
from pipeline.abtest import experiments, looks, reporting, verdicts
from pipeline.quality import judged as quality
from pipeline.release import standing
from pipeline.release.incumbent import registry_of
from tests import experiment_log as logs
from tests.experiment_log import FIRST, NEW, OLD, Shop

ONE_DAY = logs.timedelta(days=1)


def home(tmp_path_factory, name, shop):
    mine = logs.settings(tmp_path_factory.mktemp(name))
    trial = logs.experiment()
    logs.live(mine, trial, shop, 0)
    logs.lines(mine)
    experiments.start(mine, trial)
    logs.live(mine, trial, shop, 1, since=0)
    return mine


@pytest.fixture(scope="module")
def better(tmp_path_factory):
    """The challenger is clicked half as often again."""
    return home(tmp_path_factory, "better", Shop(effect=1.5, users=1000))


@pytest.fixture(scope="module")
def worse(tmp_path_factory):
    """As if its scores were shuffled within a page, and users got lost besides."""
    return home(tmp_path_factory, "worse", Shop(effect=0.3, lost=0.6, users=1000))


def judged(mine, day=FIRST, name="new-for-old"):
    looks.readout(mine, name, day)
    return verdicts.verdict(mine, name, day)


def aliases(mine):
    return standing.status(mine)["aliases"]


def test_what_is_started_splits_the_users_and_cannot_be_changed(better):
    trial = logs.experiment()
    assert traffic.running(better.store) == trial.traffic
    assert trial.traffic.salt == trial.id
    assert experiments.start(better, trial) == experiments.listing(better)[0]  # once more: the same
    with pytest.raises(ConfigError, match=r"cannot be changed: arms.old was 0.5, and is 0.4 now"):
        experiments.start(better, logs.experiment(arms={OLD: 0.4, NEW: 0.6}))
    with pytest.raises(ConfigError, match="its arms stand in another order"):
        experiments.start(better, logs.experiment(arms={NEW: 0.5, OLD: 0.5}))
    with pytest.raises(ConfigError, match="new-for-old is running, and one runs at a time"):
        experiments.start(better, logs.experiment("another"))


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({"settings": ["trian.epochs=2"]}, "a recipe cannot say trian.epochs=2"),
        ({"settings": ["train.epchs=2"]}, r"train.epchs is not a setting.*train.epochs"),
        ({"preset": "nope"}, "preset 'nope' does not exist"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_before_anything_is_kept(tmp_path, recipe, said):
    mine = logs.settings(tmp_path)
    with pytest.raises(ConfigError, match=said):
        experiments.start(mine, logs.experiment(recipes={NEW: recipe}))
    assert experiments.listing(mine) == []


def published(mine, day):
    part = mine.store.partition("events", day, "behaviors")
    with part.publish() as out:
        out.record([out.write_table("part-0", pa.table({"a": [1]}))])


@pytest.mark.parametrize("back", [0, 2])
def test_an_experiment_whose_first_day_is_published_is_refused_before_anything_is_kept(
    tmp_path, back
):
    mine = logs.settings(tmp_path)
    published(mine, FIRST)
    said = rf"events up to {FIRST} are published, .* first_day = {FIRST + ONE_DAY} or later"
    with pytest.raises(ConfigError, match=said):
        experiments.start(mine, logs.experiment(first_day=FIRST - back * ONE_DAY))
    assert experiments.listing(mine) == []


@pytest.mark.parametrize(
    ("dataset", "newest", "refused"),
    [
        ("taobao_userbehavior", FIRST - ONE_DAY, True),  # of a log that follows the clock
        ("taobao_userbehavior", FIRST - 40 * ONE_DAY, False),  # a log of the past
        ("marketplace", FIRST - ONE_DAY, False),  # has days of its own
    ],
)
def test_a_first_day_whose_midnight_is_past_is_refused_where_the_log_follows_the_clock(
    tmp_path, dataset, newest, refused
):
    mine = logs.settings(tmp_path, f"dataset={dataset}")
    published(mine, newest)
    now = datetime(FIRST.year, FIRST.month, FIRST.day, 18, tzinfo=UTC)
    said = "begin on .* first_day = 2026-03-06 or later" if refused else "as the champion's line"
    with pytest.raises(ConfigError if refused else RegistryError, match=said):
        experiments.start(mine, logs.experiment(), now)


def test_an_unknown_id_or_day_is_refused(better):
    with pytest.raises(ConfigError, match=r"'other' is not registered \(known: new-for-old\)"):
        looks.readout(better, "other", FIRST)
    with pytest.raises(ConfigError, match="is not a day of experiment new-for-old"):
        looks.readout(better, "new-for-old", FIRST - ONE_DAY)
    with pytest.raises(PartitionMissing, match="Run `dupn abtest readout --id new-for-old --day"):
        verdicts.verdict(better, "new-for-old", FIRST + ONE_DAY)


def test_an_experiment_that_never_had_its_turn_does_not_end_the_one_that_runs(better):
    """Of two starts at once one loses, and its declaration stays; both are of the same lines."""
    late = logs.experiment("late", first_day=FIRST + 9 * ONE_DAY)
    declared = json.dumps({"experiment": late.model_dump(mode="json"), "at": ""})
    better.store.put_new(traffic.key("late", "experiment"), declared)
    with pytest.raises(ConfigError, match="late is registered and was never started"):
        verdicts.conclude(better, "late", stop="it was declared twice")
    assert aliases(better) == {"champion": "1", "challenger": "2"}
    assert traffic.running(better.store).experiment == "new-for-old"


def test_a_day_on_which_no_arm_showed_anything_has_no_rows_and_stops_no_later_look(tmp_path):
    """Its hours are published without a file."""
    store, hours = logs.settings(tmp_path).store, []
    for day, rows in ((FIRST, 0), (FIRST + ONE_DAY, 2)):
        part = store.partition("hours", day)
        with part.publish() as out:
            if rows:
                values = dict.fromkeys(HEALTH.names, 9) | {"arm": OLD, "hour": 0}
                table = pa.Table.from_pylist([values] * rows, HEALTH)
                out.record([out.write_table("part-0", table)])
        hours.append(part)
    assert looks.together(hours, HEALTH).num_rows == 2
    assert looks.hours(hours).equals(looks.together(hours, HEALTH))
    assert looks.together(hours[:1], HEALTH).equals(HEALTH.empty_table())


def test_hours_of_before_failures_were_reported_say_nothing_of_them(tmp_path):
    """An experiment that is under way when the column comes goes on."""
    store, days = logs.settings(tmp_path).store, []
    values = dict.fromkeys(HEALTH.names, 9) | {"arm": OLD, "hour": 0}
    for day, left_out in ((FIRST, "reported"), (FIRST + ONE_DAY, "")):
        schema = pa.schema([field for field in HEALTH if field.name != left_out])
        part = store.partition("hours", day)
        with part.publish() as out:
            out.record([out.write_table("part-0", pa.Table.from_pylist([values], schema))])
        days.append(part)
    rows = looks.hours(days)
    assert rows.schema.equals(HEALTH)
    assert rows["reported"].to_pylist() == [0, 9]
    assert rows["timed"].to_pylist() == [9, 9]


def test_a_day_that_a_person_left_out_never_ships(better):
    store = better.store
    quality.leave_out(store, FIRST, out=True)
    told = judged(better)
    assert (told["outcome"], told["trusted"]) == ("continue", False)
    assert told["reasons"][0] == f"{FIRST}: {quality.LEFT_OUT}."
    quality.leave_out(store, FIRST, out=False)


def test_a_better_line_ships_through_the_ledger(better):
    told = judged(better)
    assert (told["outcome"], told["trusted"]) == ("ship", True), told["reasons"]
    assert {f["name"] for f in told["figures"]} >= {"abtest_ctr_uplift", "abtest_sales_uplift"}
    known = looks.place(better.store, "new-for-old", "before").table()["pre_impressions"]
    cap = np.quantile(known, 0.999, method="higher")  # of all, whoever came today
    assert verdicts.read_look(better.store, "new-for-old", FIRST).caps["impressions"] == cap
    done = verdicts.conclude(better, "new-for-old", FIRST)
    assert done["moved"]
    assert aliases(better) == {"champion": "2", "previous": "1"}
    last = standing.log(better)[-1]
    assert (last["action"], last["who"], last["run"]) == ("ship", "experiment", "new-2026-03-03")
    assert last["why"].startswith("new-for-old: clicks per item shown: +")
    entry = registry_of(better).look()[-1]
    assert entry.facts["experiment_digest"] == logs.experiment().digest()
    assert traffic.running(better.store) is None
    assert experiments.listing(better)[0]["state"] == "ended: ship"


def test_the_next_experiment_is_planned_with_the_log_of_this_one(better):
    looks.readout(better, "new-for-old", FIRST)
    seen = looks.traffic(better, "new-for-old")
    table = looks.place(better.store, "new-for-old", "readout", FIRST).table()
    assert seen.traffic.users.tolist() == [table.num_rows]
    assert 0 <= seen.correlation < 1
    assert looks.traffic(better, "new-for-old", "orders").traffic.spread[0] > seen.traffic.spread[0]
    with pytest.raises(ConfigError, match=r"ctrr is no metric\. Give one of ctr, sales"):
        looks.traffic(better, "new-for-old", "ctrr")


def test_a_conclusion_is_drawn_once(better):
    before = standing.log(better)
    assert verdicts.conclude(better, "new-for-old", FIRST)["moved"] is False
    assert standing.log(better) == before
    with pytest.raises(ConfigError, match=r"has ended \(ship\)"):
        experiments.start(better, logs.experiment())


def test_a_conclusion_that_was_cut_off_after_the_ledger_is_finished(better):
    ended = traffic.key("new-for-old", "ended")
    path = logs.Path(better.home, ended)
    kept = path.read_text()
    path.unlink()
    before = standing.log(better)
    assert verdicts.conclude(better, "new-for-old", FIRST)["moved"]
    assert standing.log(better) == before
    assert json.loads(path.read_text()) == json.loads(kept)


def test_a_ship_that_was_cut_off_stays_a_ship_whatever_is_asked_afterwards(better):
    """A person stops it, or another look goes on: the champion is the challenger's already."""
    path = logs.Path(better.home, traffic.key("new-for-old", "ended"))
    kept, before = json.loads(path.read_text()), standing.log(better)
    looked = verdicts.key(better.store, "new-for-old", FIRST, "verdict")
    told = json.loads(better.store.get(looked))
    path.unlink()
    done = verdicts.conclude(better, "new-for-old", stop="it looks odd")
    assert (done["moved"], done["outcome"], done["champion"]) == (True, "ship", "2")
    assert "stop was asked" in done["note"]
    assert "`dupn rollback --why TEXT` undoes a ship" in done["note"]
    assert json.loads(path.read_text()) == {**kept, "reasons": kept["reasons"][:1]}
    path.unlink()
    better.store.put(looked, json.dumps({**told, "outcome": "continue", "final": False}))
    assert verdicts.conclude(better, "new-for-old", FIRST)["outcome"] == "ship"
    assert experiments.listing(better)[0]["state"] == "ended: ship"
    assert standing.log(better) == before
    better.store.put(looked, json.dumps(told))


def test_a_stop_by_hand_that_was_cut_off_keeps_its_reason():
    stop = Entry(
        number=7, action="stop", aliases={}, why="e: it is odd", who="experiment", at="",
        facts={"verdict_day": ""},
    )  # fmt: skip
    told = verdicts._by_hand("it looks fine, and is over")
    assert verdicts._facts(stop, told)["reasons"] == ["it is odd"]


def test_a_conclusion_that_was_given_up_was_not_made(better):
    """Its version was deleted after the ledger had it: no alias went there."""
    mine, registry = experiments.find(better.store, "new-for-old").experiment, registry_of(better)
    entry = registry.look()[-1]
    assert verdicts._entered(better, mine) == entry
    registry.ledger.finish(entry, given_up="version 2 is deleted")
    assert verdicts._entered(better, mine) is None
    assert standing.log(better)[-1]["why"].endswith(" (not made: version 2 is deleted)")
    logs.Path(better.home, f"ledger/{entry.number:08d}.given-up").unlink()


def test_the_night_after_continues_the_line_that_won(better):
    registry = registry_of(better)
    assert registry.champion().tags["line"] == NEW
    shipped = registry.champion().number
    registry.ledger.end(registry.rollback("it was a mistake"))
    assert registry.champion().tags["line"] == OLD
    registry.promote(shipped, "it was none")
    assert registry.champion().tags["line"] == NEW


def test_users_are_not_split_alike_by_two_experiments_of_which_one_is_the_others_past(better):
    """Its effect in the pre-period would be taken off: +5 % again was told as +2.7 %."""
    late = {"first_day": FIRST + 2 * ONE_DAY, "salt": "new-for-old"}
    said = rf"has the salt of new-for-old, so on {FIRST}, of its pre-period.* before_days below 2"
    with pytest.raises(ConfigError, match=said):
        experiments.start(better, logs.experiment("again", **late))
    for other in ({"before_days": 1}, {"salt": "another"}):  # refused for its lines: one won
        with pytest.raises(RegistryError, match="has old as the champion's line"):
            experiments.start(better, logs.experiment("again", **late | other))
    assert [one["id"] for one in experiments.listing(better)] == ["new-for-old"]


def test_a_broken_log_never_ships_however_good_the_numbers(better):
    """On the second day pages are split by another salt than was declared."""
    day = FIRST + ONE_DAY
    shop = Shop(effect=1.5, users=1000, salt="another")
    logs.live(better, logs.experiment(), shop, 2, since=1)
    told = judged(better, day)
    assert (told["outcome"], told["trusted"]) == ("continue", False)
    assert "carry another arm than the hash of their user gives" in told["reasons"][0]
    assert "users" in told["reasons"][1]  # who saw several arms
    uplift = next(f for f in told["figures"] if f["name"] == "abtest_ctr_uplift")
    assert uplift["low"] > 0  # it would have


def test_lines_must_be_those_in_place(better):
    with pytest.raises(RegistryError, match="has old as the champion's line, and the champion is"):
        experiments.start(better, logs.experiment("again", first_day=FIRST + 2 * ONE_DAY))


def test_a_worse_line_is_stopped_even_where_the_log_is_doubted(worse):
    told = judged(worse)
    assert (told["outcome"], told["trusted"]) == ("stop", False)
    assert "guardrail" in told["reasons"][0]
    assert aliases(worse) == {"champion": "1", "challenger": "2"}  # a verdict moves nothing
    assert verdicts.conclude(worse, "new-for-old", FIRST)["moved"]
    assert aliases(worse) == {"champion": "1"}
    assert standing.log(worse)[-1]["action"] == "stop"
    assert standing.log(worse)[-1]["run"] == "old-2026-03-03"
    page = reporting.made(worse, experiments.find(worse.store, "new-for-old"), FIRST)
    assert page.concluded.startswith(f"Concluded by the verdict on {FIRST}: stop. guardrail")


def test_a_page_says_shares_and_limits_as_they_were_declared():
    """Rounded, 0.995 and 0.005 were 100 % and 0 %."""
    rule = {"guardrails": {"orders": 0.0005}, "minimum_effect": 0.00125}
    said = reporting._declared(logs.experiment(arms={OLD: 0.995, NEW: 0.005}, rule=rule))
    assert said["Arms"] == "old 99.5%, new 0.5%"
    assert (said["Guardrails"], said["Minimum effect"]) == ("orders -0.05%", "+0.125%")
    assert said["Errors, slow pages"] == "+0.2%, +2% over 100 ms"


def test_a_page_says_how_many_orders_count_without_sales_for_a_price_below_zero(tmp_path):
    mine, days = logs.settings(tmp_path), []
    for number, counts in enumerate([{}, {"orders_below_zero": 0}, {"orders_below_zero": 2}] * 2):
        part = mine.store.partition("readout", FIRST + number * ONE_DAY)
        with part.publish() as out:
            out.record([out.write_table("part", pa.table({"a": [1]}), counts=counts)])
        days.append(part)
    said = reporting._lineage(mine, days, "then")
    assert said["Without sales"] == "4 orders of a price below zero"
    assert "Without sales" not in reporting._lineage(mine, days[:2], "then")


def test_an_experiment_that_a_person_ended_says_when_and_why():
    ended = {"outcome": "stop", "day": "", "reasons": ["we moved."], "ledger": 3}
    assert reporting.concluded(ended) == ("Concluded by hand, without a verdict: stop. we moved.")
    told = reporting.concluded({**ended, "at": "2026-03-05T10:00:00+00:00"})
    assert told.startswith("Concluded by hand on 2026-03-05, without a verdict: stop.")
