"""Which table is the one to read, and whose rows it holds after a promotion."""

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from infra.registry import Registry
from pipeline import steps
from pipeline.release import standing
from pipeline.release.incumbent import registry_of
from pipeline.represent import represented, representing
from pipeline.upkeep import sweeping
from tests.chain import CHILD, DAYS, smoke, with_child
from tests.infra.moves import by_hand, delete

EVE, BEFORE, DAY = DAYS[-3:]


@pytest.fixture
def home(chain, tmp_path):
    """The champion has represented the day before."""
    settings = smoke(shutil.copytree(chain.settings.home, tmp_path / "home"))
    steps.represent(settings, BEFORE)
    return settings


def key(settings):
    return registry_of(settings).champion().tags["run_key"]


def rows(settings, run, day):
    return representing.table_of(settings.store, run, day).table()


def current(settings):
    return json.loads(settings.store.get("representations/current.json"))


def test_after_a_promotion_a_table_says_which_rows_are_of_an_older_model(home, caplog):
    parent = with_child(home)
    with caplog.at_level("INFO"):
        told = steps.represent(home, DAY)
    found = rows(home, CHILD, DAY)
    models, versions = found["model"].to_pylist(), found["model_version"].to_pylist()
    assert set(zip(models, versions, strict=True)) == {(CHILD, "2"), (parent, "1")}
    assert told["older"] == told["carried"] == models.count(parent) > 0
    assert f"{told['older']} of them of older models" in caplog.text


def test_rows_that_the_champion_itself_encoded_are_of_no_older_model(home):
    told = steps.represent(home, DAY)
    assert told["carried"] > 0 == told["older"]


def test_with_carry_model_a_promotion_encodes_everybody_and_the_nights_after_only_who_did_something(
    home,
):
    representing.table_of(home.store, key(home), BEFORE).remove()
    steps.represent(home, EVE)  # of its parent: what would be carried on
    with_child(home)
    mine = smoke(home.home, "represent.carry=model")
    first, then = steps.represent(mine, BEFORE), steps.represent(mine, DAY)
    assert (first["carried"], first["older"]) == (0, 0)
    assert then["carried"] > 0 == then["older"]
    assert set(rows(home, CHILD, DAY)["model_version"].to_pylist()) == {"2"}


def test_with_carry_model_a_table_that_holds_rows_of_an_ancestor_is_not_carried_on(home):
    representing.table_of(home.store, key(home), BEFORE).remove()
    steps.represent(home, EVE)
    with_child(home)
    assert steps.represent(home, BEFORE)["older"] > 0
    told = steps.represent(smoke(home.home, "represent.carry=model"), DAY)
    assert (told["carried"], told["older"]) == (0, 0)


def test_a_table_from_before_the_column_is_carried_on_with_who_made_it(home):
    place = representing.table_of(home.store, key(home), BEFORE)
    old = place.table().drop_columns(["model_version"])
    with place.publish(**place.manifest().lineage) as out:
        out.record([out.write_table("part-0", old, low=0, high=2**64)])
    steps.represent(home, DAY)
    found = rows(home, key(home), DAY)
    assert any(day != DAY for day in found["as_of"].to_pylist())
    assert set(found["model_version"].to_pylist()) == {"1"}


def test_of_a_row_that_the_table_before_the_column_carried_on_nobody_knows_the_version(home):
    steps.represent(home, BEFORE)
    place = representing.table_of(home.store, key(home), BEFORE)
    old = place.table().drop_columns(["model_version"])
    models = pa.array(["an-older-one", *old["model"].to_pylist()[1:]])
    old = old.set_column(old.column_names.index("model"), "model", models)
    found = representing._with_versions(old, place)
    assert found["model_version"].to_pylist() == [None, *["1"] * (old.num_rows - 1)]


def test_the_current_table_is_the_champions_newest_and_status_names_it(home):
    run = key(home)
    steps.represent(home, DAY)
    steps.represent(home, BEFORE)  # once more, of an older day
    assert current(home) == {
        "table": f"representations/{run}/dt={DAY}",
        "day": DAY.isoformat(),
        "model": run,
        "model_version": "1",
        "version": 1,
    }
    table = representing.table_of(home.store, run, DAY)
    assert standing.status(home)["representations"] == table.path


def test_after_a_rollback_the_table_of_whom_it_went_to_is_current(home):
    parent = with_child(home)
    steps.represent(home, DAY)
    assert (current(home)["model"], current(home)["model_version"]) == (CHILD, "2")
    steps.rollback(home, "worse")
    assert current(home)["table"] == f"representations/{parent}/dt={DAY}"
    assert current(home)["model_version"] == "1"


def test_a_rollback_tells_of_the_table_that_it_has_made(home):
    parent = with_child(home)
    steps.represent(home, DAY)
    for table in (representing.table_of(home.store, parent, day) for day in (BEFORE, DAY)):
        table.remove()
    told = steps.rollback(home, "worse")
    made = representing.table_of(home.store, parent, DAY).path
    assert (told["represented"], told["representations"]) == (made, str(Path(made).parent))


def test_after_a_rollback_whose_table_cannot_be_made_its_older_one_is_current(home):
    parent = with_child(home)
    steps.represent(home, DAY)
    home.store.partition("sequences", DAY, "history").remove()
    steps.rollback(home, "worse")
    assert current(home)["table"] == f"representations/{parent}/dt={BEFORE}"


def test_after_a_rollback_a_table_of_the_day_of_histories_that_are_others_now_is_made_again(home):
    parent = key(home)
    steps.represent(home, DAY)
    with_child(home)
    history = home.store.partition("sequences", DAY, "history")
    gone = history.table()["user_id"][0].as_py()
    left = history.table().combine_chunks()
    left = left.filter(pa.compute.not_equal(left["user_id"], gone))
    with history.publish(**history.manifest().lineage) as out:
        out.record([out.write_table("part-0", left, low=0, high=2**64)])
    steps.represent(home, DAY)
    assert gone in rows(home, parent, DAY)["user_id"].to_pylist()
    steps.rollback(home, "worse")
    assert current(home)["table"] == f"representations/{parent}/dt={DAY}"
    assert gone not in rows(home, parent, DAY)["user_id"].to_pylist()


def test_after_a_rollback_to_whom_nobody_represented_no_table_is_current(home):
    parent = with_child(home)
    steps.represent(home, DAY)
    representing.table_of(home.store, parent, BEFORE).remove()
    home.store.partition("sequences", DAY, "history").remove()
    steps.rollback(home, "worse")
    assert (current(home)["table"], current(home)["model"]) == (None, parent)
    assert standing.status(home)["representations"] is None


def test_a_hand_that_moves_the_champion_brings_its_newest_table_along(home):
    parent = with_child(home)
    steps.represent(home, DAY)
    by_hand(registry_of(home), champion="1")
    standing.status(home)
    assert current(home)["table"] == f"representations/{parent}/dt={BEFORE}"
    by_hand(registry_of(home), champion="2")
    standing.status(home)
    assert current(home)["table"] == f"representations/{CHILD}/dt={DAY}"
    representing.table_of(home.store, parent, BEFORE).remove()
    by_hand(registry_of(home), champion="1")
    standing.status(home)
    assert (current(home)["table"], current(home)["model"]) == (None, parent)


def test_a_hand_that_moves_another_alias_leaves_the_table_that_is_read(home):
    parent = with_child(home)  # promoted, and not represented yet
    before = f"representations/{parent}/dt={BEFORE}"
    by_hand(registry_of(home), challenger="1")
    standing.status(home)
    assert current(home)["table"] == before
    delete(registry_of(home), "1")  # `previous`, too
    assert standing.status(home)["aliases"] == {"champion": "2"}
    assert current(home)["table"] == before


def test_a_look_that_sleeps_over_a_newer_move_lets_that_name_the_table(home):
    with_child(home)
    steps.represent(home, DAY)
    registry = registry_of(home)
    follow = registry.follow

    def slowly(entries):
        if len(entries) == 3:
            registry_of(home).promote("2", "meanwhile")
        follow(entries)

    registry.follow = slowly
    by_hand(registry, champion="1")
    registry.look()
    assert standing.status(home)["aliases"]["champion"] == "2"
    assert (current(home)["model"], current(home)["model_version"]) == (CHILD, "2")


def test_a_promotion_names_a_table_that_is_there_and_else_leaves_the_one_before(home):
    parent = with_child(home)
    before = f"representations/{parent}/dt={BEFORE}"
    assert current(home)["table"] == before
    steps.represent(home, DAY)
    registry_of(home).promote("1", "it was better")
    assert current(home)["table"] == before


def test_a_look_that_was_cut_off_before_it_named_the_table_names_it_when_it_goes_on(home):
    with_child(home)
    steps.represent(home, DAY)
    cut_off = Registry(registry_of(home).uri, home.store, lambda entry: 1 / 0)
    by_hand(cut_off, champion="1")
    with pytest.raises(ZeroDivisionError):
        cut_off.look()
    assert current(home)["model"] == CHILD
    standing.status(home)
    assert current(home)["model_version"] == "1"


def test_a_table_that_cannot_be_read_stops_no_look(home, caplog):
    parent = with_child(home)
    steps.represent(home, DAY)
    place = representing.table_of(home.store, parent, BEFORE)
    Path(home.home, place.key, "_manifest.json").write_text("{")
    by_hand(registry_of(home), champion="1")
    assert standing.status(home)["aliases"]["champion"] == "1"
    assert f"{place.key}" in caplog.text
    assert current(home)["model"] == CHILD


def test_who_is_no_champion_any_more_when_its_table_is_ready_is_not_current(home, monkeypatch):
    parent = with_child(home)
    moving = representing._Task.bucket

    def rolled_back_meanwhile(task, entry):
        if key(home) == CHILD:
            registry_of(home).rollback("worse")
        return moving(task, entry)

    monkeypatch.setattr(representing._Task, "bucket", rolled_back_meanwhile)
    assert steps.represent(home, DAY)["run"] == CHILD
    assert current(home)["model"] == parent


def test_a_reader_finds_the_current_table_as_the_page_says(home, tmp_path, monkeypatch):
    page = Path(__file__).parents[3] / "docs" / "artifacts.md"
    code = re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)
    with_child(home)
    steps.represent(home, DAY)
    monkeypatch.chdir(tmp_path)
    Path("artifacts").symlink_to(home.home)
    read = {}
    exec(next(one for one in code if "current.json" in one), read)
    there = rows(home, CHILD, DAY)
    assert read["users"]["user_id"].to_list() == there["user_id"].to_pylist()
    assert set(read["same"]["model"]) == {CHILD}
    assert 0 < len(read["same"]) < len(read["users"])


@pytest.mark.parametrize("said", ["", "no JSON", "[]", '{"table": 7}', '{"table": "elsewhere"}'])
def test_what_names_no_table_that_is_there_is_none(home, said):
    home.store.put("representations/current.json", said)
    assert represented.current(home.store) is None


def test_the_file_beside_the_tables_is_nobodys_folder(home):
    later = DAY + timedelta(days=99)
    run = key(home)
    assert represented.keys_of(home.store) == [run]
    sweeping.run(home, later)
    representing.sweep(home, later)
    assert current(home)["table"] == f"representations/{run}/dt={BEFORE}"
    assert represented.current(home.store) is not None
