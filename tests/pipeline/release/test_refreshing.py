"""A champion that was kept answers with the tables of the newest day, and still as its network."""

import json
import shutil
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evaluation import sampled
from features import catalog
from infra.errors import PartitionMissing, RegistryError
from infra.registry import MODEL
from pipeline import steps
from pipeline.release import bundling, recording, refreshing, standing
from pipeline.release.incumbent import registry_of
from serving import bundle as bundles
from serving import published, tables
from serving import served as disassembled
from tests.chain import EVALUATED, smoke

NEXT = EVALUATED + timedelta(days=1)


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """A copy of the chain's home with another day of samples, and no release."""
    home = tmp_path_factory.mktemp("refresh") / "home"
    shutil.copytree(chain.settings.home, home)
    mine = smoke(home)
    steps.simulate(mine, NEXT, 1)
    for step in ("events", "vocabulary", "statistics", "sequences", "samples"):
        getattr(steps, step)(mine, NEXT)
    return mine


@pytest.fixture(scope="module")
def before(settings):
    return served(settings)


@pytest.fixture(scope="module")
def told(settings, before):
    return steps.refresh(settings, NEXT)


def place_of(settings):
    version = registry_of(settings).champion()
    return published.place(settings.store, version.tags["run_key"], version.number)


def served(settings):
    name, folder = published.fetch(place_of(settings), folder_of_copies(settings))
    return disassembled.load(folder, folder / disassembled.FOLDER, name), folder


def folder_of_copies(settings):
    return Path(settings.home, "copies")


def ids(settings, day):
    return set(settings.store.partition("catalog", day).table(["item_id"])["item_id"].to_pylist())


def test_items_that_came_since_are_known(settings, before, told):
    assert told == {"day": NEXT.isoformat(), "champion": NEXT.isoformat()}
    new = pa.array(sorted(ids(settings, NEXT) - ids(settings, EVALUATED)), pa.string())
    assert len(new)
    assert set(before[0].rows_of(new)) == {1}
    assert min(served(settings)[0].rows_of(new)) > 1


def test_it_answers_moments_of_the_day_as_its_network_does(settings, told, tmp_path):
    loaded, folder = served(settings)
    recorded = json.loads((folder / bundles.RECORDED).read_text())
    assert {one["question"]["ts"][:10] for one in recorded} == {NEXT.isoformat()}
    assert disassembled.worst_difference(loaded, folder) < 1e-5
    recorded[0]["ctr"][0] += 0.01
    (tmp_path / bundles.RECORDED).write_text(json.dumps(recorded))
    assert disassembled.worst_difference(loaded, tmp_path) > 5e-3


def test_a_draw_without_candidates_is_made_once_more_among_who_has_some(
    settings, told, monkeypatch
):
    """Else the tables would age, and whoever is told to refresh them would wait in vain."""
    store, zone = settings.store, "UTC"
    samples = store.partition("samples", NEXT).table(["user_hash", "ts", "cand_item"])
    asks = set(np.concatenate(list(recording.askers(store, NEXT, zone))))
    shown = samples.filter(samples["cand_item"].is_valid())["user_hash"].to_pylist()
    assert asks
    assert asks <= set(shown) < set(samples["user_hash"].to_pylist())
    monkeypatch.setattr(refreshing, "MOMENTS", 1)
    model = published.network(place_of(settings))
    seeds = (settings.model_copy(update={"seed": seed}) for seed in range(100))
    barren = next(
        one for one in seeds
        if not asks & set(sampled.read(store, NEXT, 1, one.seed).moments.user_hash.tolist())
    )  # fmt: skip
    recorded = refreshing._recorded(barren, NEXT, zone, model)
    assert recorded
    assert all(one["ctr"] for one in recorded)


def test_weights_and_version_are_what_they_were(settings, before, told):
    after = served(settings)[0]
    assert after.name == before[0].name
    assert after.bundle.key == before[0].bundle.key
    theirs = before[0].bundle.model.state_dict()
    assert all(value.equal(theirs[name]) for name, value in after.bundle.model.state_dict().items())


def test_one_that_has_the_tables_or_newer_ones_is_left_alone(settings, told):
    stamp = place_of(settings).stamp()
    assert steps.refresh(settings, NEXT) == told
    assert steps.refresh(settings, EVALUATED)["champion"] == NEXT.isoformat()
    assert place_of(settings).stamp() == stamp


def test_one_that_was_spoilt_is_made_whole_first_and_then_fresh(settings, told):
    place = place_of(settings)
    name = next(one.name for one in place.manifest().files if one.name.endswith("model.pt"))
    with Path(settings.home, place.key, name).open("ab") as file:
        file.write(b"spoilt")
    assert bundling.whole(settings, registry_of(settings).champion()) is None
    assert steps.refresh(settings, NEXT) == told
    assert bundling.whole(settings, registry_of(settings).champion()) is not None
    assert served(settings)[0].bundle.day == NEXT


def test_a_challenger_is_refreshed_beside_the_champion_and_instead_of_none(settings, told):
    registry = registry_of(settings)
    client, first = registry.client, registry.champion()
    client.create_model_version(MODEL, first.source, first.run_id, tags=dict(first.tags))
    client.create_model_version(MODEL, first.source, first.run_id)  # dupn did not register it
    client.set_registered_model_alias(MODEL, "challenger", "2")
    try:
        assert steps.refresh(settings, NEXT) == {**told, "challenger": NEXT.isoformat()}
        assert published.place(settings.store, first.tags["run_key"], "2").exists()
        client.set_registered_model_alias(MODEL, "champion", "3")
        with pytest.raises(RegistryError, match="no version of dupn's own is champion"):
            steps.refresh(settings, NEXT)
    finally:
        client.set_registered_model_alias(MODEL, "champion", first.number)
        client.delete_registered_model_alias(MODEL, "challenger")


def test_a_day_that_is_not_there_is_named(settings, told):
    with pytest.raises(PartitionMissing, match=str(NEXT + timedelta(days=1))):
        steps.refresh(settings, NEXT + timedelta(days=1))


def test_a_day_that_was_made_again_is_taken_over_and_status_says_so_until_then(settings, told):
    raw = settings.store.partition("raw", NEXT, "behaviors")
    half = raw.table().filter(pa.array(np.arange(raw.table().num_rows) % 2 == 0))
    with raw.publish(**raw.manifest().lineage) as out:
        out.record([out.write_table("rows", half)])
    assert tables.made_again(place_of(settings), settings.store) == []
    assert "dupn refresh" not in standing.status(settings)["bundle"]
    for step in ("events", "vocabulary", "statistics", "sequences", "samples"):
        getattr(steps, step)(settings, NEXT)
    assert f"dt={NEXT}" in tables.made_again(place_of(settings), settings.store)[0]
    assert standing.status(settings)["bundle"].endswith(f"`dupn refresh --day {NEXT}`)")
    with rewritten(settings.store.partition("samples", NEXT), without_candidates):
        told_now = standing.status(settings)["bundle"]
        assert "dupn refresh" not in told_now
        assert "no moment of it has candidates" in told_now
    before = place_of(settings).stamp()
    assert steps.refresh(settings, NEXT) == told
    assert place_of(settings).stamp() != before
    assert tables.made_again(place_of(settings), settings.store) == []
    assert "dupn refresh" not in standing.status(settings)["bundle"]


@contextmanager
def rewritten(partition, change):
    """A manifest that says something else for a while."""
    file = Path(partition.path, "_manifest.json")
    text = file.read_text()
    content = json.loads(text)
    change(content)
    file.write_text(json.dumps(content, indent=1))
    try:
        yield
    finally:
        file.write_text(text)


def without_candidates(content):
    content["counts"]["candidates"] = 0


def test_a_column_that_was_taken_back_is_another_table_and_one_that_is_lost_is_not(settings, told):
    store, place = settings.store.resolved(), place_of(settings)
    day = served(settings)[0].bundle.day
    name = catalog.columns(store, day)[0]
    closed, lost = store.partition("catalog", day), store.partition("vocabulary", day, name)
    lost.remove()
    with rewritten(closed, lambda content: content["lineage"][catalog.COLUMNS].remove(name)):
        assert tables.made_again(place, settings.store.resolved()) == [lost.key]
    with pytest.raises(PartitionMissing, match=lost.key):
        tables.made_again(place, settings.store.resolved())
    steps.vocabulary(settings, day)


def test_a_vocabulary_that_is_lost_hides_nothing_else_of_the_status(settings, told):
    day = served(settings)[0].bundle.day
    lost = settings.store.partition("vocabulary", day, catalog.columns(settings.store, day)[0])
    lost.remove()
    assert standing.status(settings)["bundle"].endswith("/v1")
    steps.vocabulary(settings, day)
    assert lost.exists()


def test_without_a_champion_it_says_what_to_do(tmp_path):
    with pytest.raises(RegistryError, match="`dupn promote` first"):
        steps.refresh(smoke(tmp_path), EVALUATED)
