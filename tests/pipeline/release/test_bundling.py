"""A version's bundle is published before an alias names it, and stays as long as one does."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pyarrow as pa
import pytest

from infra.errors import PartitionMissing, RegistryError
from infra.registry import MODEL
from infra.store import Store
from pipeline import steps
from pipeline.release import bundling, standing
from pipeline.release.incumbent import registry_of
from pipeline.represent import representing
from pipeline.upkeep import lost_files
from serving import bundle as served
from serving import published
from tests.chain import DAYS, EVALUATED, smoke

KEY = f"dupn-{DAYS[-2]}"
NEVER = "serve.tolerance=1e-30"
"""Nothing answers as exactly as that."""


@pytest.fixture
def home(chain, tmp_path):
    """A copy of the chain's home; a second version has the run key of the champion, not its run."""
    settings = smoke(Path(shutil.copytree(chain.settings.home, tmp_path / "home")))
    registry = registry_of(settings)
    first = registry.version("1")
    registry.client.create_model_version(MODEL, first.source, "anew", tags=dict(first.tags))
    return settings


def bundles(settings):
    found = published.published(settings.store, KEY)
    return {int(one.manifest().lineage["version"]): one for one in found if one.exists()}


def champion(settings):
    return registry_of(settings).champion().number


def test_registering_publishes_it(home):
    assert list(bundles(home)) == [1]
    bundles(home)[1].remove()
    number = int(steps.register(home, EVALUATED)["version"])
    bundles(home)[number].verify()


def test_done_again_it_is_the_same_bundle(home):
    before = bundles(home)[1].manifest()
    steps.promote(home, EVALUATED, "1", "again")
    assert bundles(home)[1].manifest() == before


def test_a_bundle_that_was_killed_once_its_model_was_logged_takes_that_model_again(home):
    place = home.store.partition("bundles", None, KEY)
    before = place.manifest().lineage
    place.take_back()
    assert steps.bundle(home, EVALUATED)["model_uri"] == before["model_uri"]
    assert place.manifest().lineage["digest"] == before["digest"]


def test_a_bundle_whose_manifest_is_empty_is_published_again_with_its_logged_model(home):
    place = home.store.partition("bundles", None, KEY)
    before = place.manifest().lineage
    Path(place.path, "_manifest.json").write_bytes(b"")
    assert steps.bundle(home, EVALUATED)["model_uri"] == before["model_uri"]
    assert place.manifest().lineage == {**before, "wall_s": ANY}


def test_a_version_whose_run_the_store_has_nothing_of_is_known_again_as_the_refusal_says(home):
    shutil.rmtree(Path(home.home, "bundles", KEY))
    assert standing.status(home)["bundle"] == (
        f"none (bundles/{KEY}/v1 is not there: `dupn bundle --version 1` makes it again)"
    )
    said = (
        rf"bundles/{KEY}, .* is gone .*`dupn bundle --day {EVALUATED} --run {KEY}`, .* then "
        r"`dupn bundle --version 1`"
    )
    with pytest.raises(RegistryError, match=said):
        steps.bundle(home, EVALUATED, version="1")
    steps.bundle(home, EVALUATED, KEY)
    steps.bundle(home, EVALUATED, version="1")
    bundles(home)[1].verify()
    assert "not there" not in standing.status(home)["bundle"]


def test_of_a_lost_bundle_that_another_release_packs_the_same_weights_are_entered_anew(
    home, monkeypatch
):
    before = served.digest
    monkeypatch.setattr(served, "digest", lambda folder: f"{before(folder)}-of-other-code")
    shutil.rmtree(Path(home.home, "bundles", KEY))
    steps.bundle(home, EVALUATED, KEY)
    said = rf"not known to be dupn's.*`dupn register --day {EVALUATED} --run {KEY}` enters"
    with pytest.raises(RegistryError, match=said):
        steps.bundle(home, EVALUATED, version="1")
    number = steps.register(home, EVALUATED, KEY)["version"]
    assert number not in ("1", "2")
    steps.promote(home, EVALUATED, number, "packed again")
    assert champion(home) == number
    bundles(home)[int(number)].verify()


def test_without_the_statistics_of_its_eve_nothing_is_packed_until_they_are_built_again(home):
    """They are swept when two weeks are over; the day's samples, tables and report stay."""
    eve = home.store.partition("statistics", DAYS[-2])
    before = home.store.partition("bundles", None, KEY).manifest().lineage
    shutil.rmtree(eve.path)
    shutil.rmtree(Path(home.home, "bundles", KEY))
    said = rf"{eve.key}/item is not published.* LR-CTR .*`dupn rebuild --day {DAYS[-2]}` first"
    with pytest.raises(PartitionMissing, match=said):
        steps.bundle(home, EVALUATED, KEY)
    steps.rebuild(home, DAYS[-2])
    assert steps.bundle(home, EVALUATED, KEY)["model_uri"] == before["model_uri"]


def test_what_a_stranger_may_have_entered_is_quoted_where_a_command_is_told(home):
    tags = {"run_key": "a b;c-2026-03-04", "evaluated_on": "$(d)"}
    with pytest.raises(RegistryError, match=r"--day '\$\(d\)' --run 'a b;c-2026-03-04'`"):
        bundling.require_known(home.store, replace(registry_of(home).version("1"), tags=tags))


def test_the_alias_does_not_move_before_the_bundle_is_there(home):
    with pytest.raises(RegistryError, match=r"version 2, disassembled, answers .* otherwise"):
        steps.promote(smoke(home.home, NEVER), EVALUATED, "2", "to see")
    assert champion(home) == "1"
    told = steps.promote(home, EVALUATED, "2", "to see")
    assert told["bundle"].endswith(f"bundles/{KEY}/v2")
    assert list(bundles(home)) == [1, 2]


def test_a_rollback_mends_the_bundle_first(home):
    steps.promote(home, EVALUATED, "2", "to see")
    bundles(home)[1].remove()
    with pytest.raises(RegistryError, match="version 1, disassembled, answers"):
        steps.rollback(smoke(home.home, NEVER), "worse")
    assert champion(home) == "2"
    assert steps.rollback(home, "worse")["bundle"].endswith(f"bundles/{KEY}/v1")
    assert champion(home) == "1"
    bundles(home)[1].verify()


def test_after_a_move_by_hand_a_rollback_mends_the_bundle_of_whom_it_goes_to(home):
    registry_of(home).client.set_registered_model_alias(MODEL, "champion", "2")
    bundles(home)[1].remove()
    with pytest.raises(RegistryError, match="version 1, disassembled, answers"):
        steps.rollback(smoke(home.home, NEVER), "a slip")
    assert champion(home) == "2"
    assert steps.rollback(home, "a slip")["bundle"].endswith(f"bundles/{KEY}/v1")
    bundles(home)[1].verify()


def test_a_spoilt_bundle_is_built_again_by_hand(home):
    mine = bundles(home)[1]
    file = next(Path(mine.path, one.name) for one in mine.manifest().files if one.bytes > 100)
    file.write_bytes(b"rotten")
    told = steps.bundle(home, EVALUATED, version="champion")
    assert (told["version"], told["run"], told["day"]) == ("1", KEY, EVALUATED.isoformat())
    assert told["bytes"] == sum(one.bytes for one in mine.manifest().files)
    mine.verify()


def test_a_version_that_dupn_did_not_register_has_none(home):
    registry = registry_of(home)
    first = registry.version("1")
    registry.client.create_model_version(MODEL, first.source, first.run_id)
    with pytest.raises(RegistryError, match="3 is no version of dupn that dupn registered"):
        steps.bundle(home, EVALUATED, version="3")
    steps.promote(home, EVALUATED, "3", "I know what I do")
    assert champion(home) == "3"
    assert standing.status(home)["bundle"] == "none"
    with pytest.raises(RegistryError, match=r"version 3 \(champion\) was not registered by dupn"):
        steps.check(home, EVALUATED)


def test_a_rollback_leaves_no_table_of_the_other_version(home):
    """Both have one run key, and so one folder of tables."""
    steps.represent(home, DAYS[-2])
    steps.promote(home, EVALUATED, "2", "to see")
    steps.represent(home, EVALUATED)
    table = representing.table_of(home.store, KEY, EVALUATED)
    assert table.manifest().lineage["version"] == "2"
    told = steps.rollback(home, "worse")
    assert told["represented"] == table.path
    assert table.manifest().lineage["version"] == "1"
    assert table.manifest().lineage["carried_from"].endswith(f"dt={DAYS[-2]}")


@pytest.mark.parametrize("spoilt", [True, False])
def test_a_rollback_whose_table_cannot_be_made_is_done_and_says_so(home, spoilt):
    steps.promote(home, EVALUATED, "2", "to see")
    steps.represent(home, EVALUATED)
    history = home.store.partition("sequences", EVALUATED, "history")
    if spoilt:
        for entry in history.manifest().files:
            Path(history.path, entry.name).write_bytes(b"rotten")
    else:
        history.remove()
    told = steps.rollback(home, "worse")
    assert told["represented"].startswith(f"none of {EVALUATED}: sequences/dt={EVALUATED}")
    assert champion(home) == "1"


def test_a_rollback_killed_before_its_table_is_finished_by_the_next_and_not_undone(home):
    steps.promote(home, EVALUATED, "2", "to see")
    steps.represent(home, EVALUATED)
    registry_of(home).rollback("worse")  # as far as the alias
    told = steps.rollback(home, "worse")
    assert (told["champion"], champion(home)) == ("1", "1")
    assert f"entry {told['ledger']} of the ledger is a rollback of" in told["note"]
    table = representing.table_of(home.store, KEY, EVALUATED)
    assert table.manifest().lineage["version"] == "1"
    assert told["previous"] == "none"
    with pytest.raises(RegistryError, match=r"no previous champion .*2: left by a rollback\)"):
        steps.rollback(home, "this one too")
    assert champion(home) == "1"


def test_users_are_represented_by_the_version_and_not_by_what_was_trained_since(home):
    steps.represent(home, EVALUATED)
    table = representing.table_of(home.store, KEY, EVALUATED)
    before = table.table()["representation"].combine_chunks().flatten().to_numpy()
    shutil.rmtree(Path(home.home, "checkpoints", KEY))
    table.remove()
    steps.represent(home, EVALUATED)
    after = table.table()["representation"].combine_chunks().flatten().to_numpy()
    np.testing.assert_array_equal(before, after)


SWEPT = DAYS[0] + timedelta(days=100)


@pytest.fixture
def shelf(tmp_path):
    """Six versions that are a hundred days old, one that is not, and a registry that knows them."""
    settings = smoke(tmp_path, "serve.shares={champion = 0.5, 2 = 0.5}")
    store = settings.store
    with store.partition("samples", SWEPT).publish() as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])
    registry = registry_of(settings)
    for number in range(1, 8):
        run = f"dupn-{DAYS[0] + timedelta(days=number)}"
        registry.register(f"file:///models/{number}", "", {"run_key": run})
        day = SWEPT if number == 7 else DAYS[0]
        facts = {"version": str(number), "day": day.isoformat()}
        with (
            published.place(store, run, str(number)).publish(**facts) as out,
            out.folder("bundle") as folder,
        ):
            (folder / "items.npy").write_bytes(b"row")
    return settings


def versions(settings):
    store = settings.store
    found = [one for run in store.names("bundles") for one in published.published(store, run)]
    return sorted(one.key.split("/v")[1] for one in found if one.exists())


def test_old_bundles_go_but_never_one_that_is_named(shelf):
    registry = registry_of(shelf)
    registry.promote("3", "first")
    registry.promote("4", "better")
    registry.challenge("5", "a rival")
    said = steps.sweep(shelf, SWEPT)
    assert versions(shelf) == ["2", "3", "4", "5", "7"]
    assert said["removed"] == {"bundles": "2 versions (6 bytes)"}
    assert not Path(shelf.home, "bundles", f"dupn-{DAYS[1]}", "v1").exists()


def test_an_alias_moved_by_hand_keeps_a_bundle_too(shelf):
    registry = registry_of(shelf)
    registry.promote("3", "first")
    registry.client.set_registered_model_alias(MODEL, "champion", "6")
    steps.sweep(shelf, SWEPT)
    assert versions(shelf) == ["2", "6", "7"]


def test_a_pipeline_that_stood_still_loses_no_bundle(shelf):
    steps.sweep(smoke(shelf.home, "retention.bundle_days=101"), SWEPT + timedelta(days=500))
    assert len(versions(shelf)) == 7
    assert bundling.outdated(smoke(shelf.home, "retention.bundle_days=101"), SWEPT) == []


def test_without_samples_no_bundle_is_old(shelf):
    """A home that only serves, or whose samples are still to come."""
    shelf.store.partition("samples", SWEPT).remove()
    assert steps.sweep(shelf, SWEPT)["removed"] == "nothing"
    assert len(versions(shelf)) == 7


def test_folders_of_lost_attempts_go_when_they_are_old(tmp_path):
    store = Store(tmp_path)
    place = published.place(store, KEY, "1")
    with place.publish() as out, out.folder("bundle") as folder:
        (folder / "items.npy").write_bytes(b"row")
    half = Path(place.path, "bundle-0123456789.folder", "store")
    half.mkdir(parents=True)
    (half / "half").write_bytes(b"ro")
    assert lost_files.sweep(store, 3600) == 0
    assert lost_files.sweep(store, -1) == 1
    assert not half.parent.exists()
    place.verify()
