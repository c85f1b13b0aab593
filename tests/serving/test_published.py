"""Bundles of the store: what is served from them, and how they get to a process."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from infra.errors import PartitionCorrupt, PartitionMissing, RegistryError, StoreError
from infra.store import MANIFEST, Partition, Store
from pipeline.cli.serving_setup import setup
from pipeline.release.incumbent import registry_of
from pipeline.upkeep import lost_files
from serving import bundle as bundles
from serving import published, running
from serving import served as disassembled
from serving.answering import answer
from serving.contracts import question
from serving.served import Name
from serving.splitting import Splitting
from serving.versions import FromRegistry, OneFolder, Versions
from tests.chain import logged_bundle, recorded_questions
from tests.chain import published as logged
from tests.disks import disk

ROOT = Path(__file__).parents[2]
ALONE = Path(__file__).with_name("serve_alone.py")
NAME = Name(version="7", line="dupn", run="dupn-2026-03-01")


@pytest.fixture(scope="module")
def place(chain):
    """The bundle of the chain's champion."""
    champion = registry_of(chain.settings).champion()
    return published.place(chain.store, champion.tags["run_key"], champion.number)


def spoil(target: Partition, name: str) -> None:
    entry = next(one for one in target.manifest().files if one.name.endswith(name))
    file = Path(target.path, entry.name)
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def test_scores_of_the_published_bundle_are_the_unsplit_networks(chain, place, tmp_path):
    name, folder = published.fetch(place, tmp_path)
    served = disassembled.load(folder, folder / disassembled.FOLDER, name)
    questions = [question(record["question"]) for record in recorded_questions(chain)]
    whole = answer(bundles.load(logged_bundle(chain)), questions)
    for asked, expected in zip(questions, whole, strict=True):
        rows = served.rows_of(pa.array(asked.candidates))
        ranked = served.answer(served.moment_of(asked), rows).ranked
        np.testing.assert_allclose(ranked.ctr, expected.ctr, atol=1e-5, rtol=0)
        np.testing.assert_allclose(ranked.l2r, expected.l2r, atol=1e-5, rtol=0)


def test_the_lineage_says_whose_it_is(chain, place):
    mine, packed = place.manifest().lineage, logged(chain.settings).manifest().lineage
    champion = registry_of(chain.settings).champion()
    assert mine["version"] == champion.number
    assert (mine["run"], mine["line"], mine["representation"]) == (packed["run"], "dupn", "1")
    for fact in ("digest", "model_uri", "day"):
        assert mine[fact] == packed[fact]


def test_on_a_disk_the_item_table_is_mapped_where_it_lies(place, tmp_path):
    name, folder = published.fetch(place, tmp_path)
    versions = Versions(OneFolder(folder, name), tmp_path / "work", 1e-4)
    assert versions.refresh()
    rows = versions.served["champion"].ranker.items.rows
    assert isinstance(rows, np.memmap)
    assert Path(rows.filename).is_relative_to(place.path)
    assert list(tmp_path.iterdir()) == []
    place.verify()  # looking writes nothing


def test_the_network_read_through_the_store_is_the_bundles(chain, place):
    mine, theirs = published.network(place), bundles.load(logged_bundle(chain)).model
    assert not mine.training
    for name, tensor in theirs.state_dict().items():
        assert tensor.equal(mine.state_dict()[name]), name


@pytest.fixture
def far(place):
    """The same bundle on an object store."""
    fs = fsspec.filesystem("memory")
    fs.put(place.path, "/home/" + place.key, recursive=True)
    yield Partition("memory://home", place.key)
    fs.rm("/home", recursive=True)


def test_from_an_object_store_it_is_copied_once(far, tmp_path):
    name, folder = published.fetch(far, tmp_path)
    file = folder / disassembled.FOLDER / "items.npy"
    assert folder.parent == tmp_path
    before = file.stat().st_ino
    assert disassembled.load(folder, folder / disassembled.FOLDER, name).name.version == "1"
    assert published.fetch(far, tmp_path) == (name, folder)
    assert file.stat().st_ino == before


def test_a_copy_that_differs_from_the_manifest_is_refused(far, tmp_path):
    entry = next(one for one in far.manifest().files if one.name.endswith("items.npy"))
    fsspec.filesystem("memory").pipe_file(f"/home/{far.key}/{entry.name}", b"cut off")
    with pytest.raises(PartitionCorrupt, match=r"items\.npy is not the file that was published"):
        published.fetch(far, tmp_path)
    assert [one for one in tmp_path.iterdir() if one.name.startswith("dupn")] == []


@pytest.mark.parametrize("said", [{"run": "../../precious/x"}, {"version": "../../precious/x"}])
def test_a_bundle_that_says_it_is_another_is_copied_nowhere(far, tmp_path, said):
    """Its lineage names the folder of the copy, beside which old copies are removed."""
    precious = tmp_path / "precious"
    for number in range(published.COPIES + 2):
        (precious / f"year{number}").mkdir(parents=True)
    manifest = far.manifest()
    lying = replace(manifest, lineage={**manifest.lineage, **said}).written()
    fsspec.filesystem("memory").pipe_file(f"/home/{far.key}/{MANIFEST}", lying.encode())
    with pytest.raises(PartitionCorrupt, match=r"/v1 says that it is version .*precious/x"):
        published.fetch(far, tmp_path / "work" / "copies")
    assert len(list(precious.iterdir())) == published.COPIES + 2


def test_only_the_copies_used_last_stay(chain, tmp_path):
    copied = set()
    for number in range(1, published.COPIES + 3):
        target = published.place(Store("memory://many"), "run", str(number))
        name = replace(NAME, version=str(number), run="run")
        published.publish(target, logged_bundle(chain), name, "models:/m-1", 1e-4)
        published.fetch(target, tmp_path)
        _, first = published.fetch(published.place(Store("memory://many"), "run", "1"), tmp_path)
        copied.add(first.stat().st_ino)
    assert len(copied) == 1, "asked for again and again, it is not copied again"
    kept = sorted(one.name.split("-")[1] for one in tmp_path.iterdir() if one.is_dir())
    assert kept == ["v1", *[f"v{number}" for number in range(4, published.COPIES + 3)]]
    fsspec.filesystem("memory").rm("/many", recursive=True)


def test_what_answers_otherwise_than_recorded_is_not_published(chain, tmp_path):
    liar = Path(shutil.copytree(logged_bundle(chain), tmp_path / "liar"))
    recorded = json.loads((liar / "recorded.json").read_text())
    recorded[0]["ctr"][0] += 0.01
    (liar / "recorded.json").write_text(json.dumps(recorded))
    target = published.place(Store(tmp_path), NAME.run, "7")
    with pytest.raises(RegistryError, match=r"a score differs by 0\.01 .*Nothing was published"):
        published.publish(target, liar, NAME, "models:/m-1", 1e-4)
    assert not target.exists()
    assert target.names() == []


def test_a_disk_that_is_full_is_said_in_one_sentence(chain, tmp_path):
    with disk(tmp_path / "full") as full:
        target = published.place(Store(full), NAME.run, "7")
        with pytest.raises(StoreError, match=r"bundle-.* could not be written: the disk is full"):
            published.publish(target, logged_bundle(chain), NAME, "models:/m-1", 1e-4)
        assert not target.exists()


def source(settings, folder):
    return FromRegistry(registry_of(settings), ("champion",), folder / "copies", folder / "own")


def served_from(settings, folder):
    """Where the champion's bundle was read, after it was loaded and heard."""
    versions = Versions(source(settings, folder), folder / "own", 1e-4)
    assert versions.refresh(), versions.refused
    assert versions.served["champion"].name.version == "1"
    return versions.served["champion"].bundle.folder


def test_a_version_is_served_from_the_store(home, tmp_path):
    assert served_from(home, tmp_path).is_relative_to(Path(home.home, "bundles"))
    assert not (tmp_path / "own").exists()


def age(target: Partition, folder: Path) -> None:
    """Publish it again as bundles were before they held a user part."""
    lineage = target.manifest().lineage
    name, bundle = published.fetch(target, folder)
    with pytest.MonkeyPatch.context() as past:
        past.setattr(published, "FORMAT", 1)
        published.publish(target, bundle, name, lineage["model_uri"], 1e-4)


@pytest.mark.parametrize("wrong", ["absent", "spoilt", "of another model", "of an older format"])
def test_without_a_bundle_of_its_own_it_is_taken_from_mlflow(home, place, tmp_path, wrong):
    mine = Partition(home.store.root, place.key)
    if wrong == "absent":
        mine.remove()
    elif wrong == "spoilt":
        spoil(mine, "items.npy")
    elif wrong == "of an older format":
        age(mine, tmp_path)
    else:
        published.publish(mine, *published.fetch(mine, tmp_path)[::-1], "models:/m-other", 1e-4)
    assert served_from(home, tmp_path).is_relative_to(tmp_path / "own")


def test_a_bundle_of_an_older_format_is_not_whole_and_says_what_to_do(home, place, tmp_path):
    mine = Partition(home.store.root, place.key)
    model = mine.manifest().lineage["model_uri"]
    assert published.is_whole(mine, model)
    assert not published.is_whole(mine, "models:/m-other")
    age(mine, tmp_path)
    assert not published.is_whole(mine, model)
    with pytest.raises(PartitionCorrupt, match=r"format 1, .* reads 2\. Run `dupn bundle --versi"):
        published.fetch(mine, tmp_path)


def test_a_bundle_of_which_a_byte_has_changed_is_not_whole(home, place):
    mine = Partition(home.store.root, place.key)
    model = mine.manifest().lineage["model_uri"]
    spoil(mine, "recorded.json")
    assert not published.is_whole(mine, model)


def test_a_key_names_the_newest_version_and_a_version_itself(tmp_path):
    store = Store(tmp_path)
    for number in ("9", "10"):
        with published.place(store, "dupn-2026-03-05", number).publish():
            pass
    published.place(store, "dupn-2026-03-05", "11").names()
    assert published.find(store, "dupn-2026-03-05").key.endswith("/v10")
    assert published.find(store, "dupn-2026-03-05/v9").key.endswith("/v9")
    with pytest.raises(PartitionMissing, match=r"There are: dupn-2026-03-05/v9, .*/v10\. `dupn b"):
        published.find(store, "dupn-2026-03-05/v11")


def test_a_worker_that_is_replaced_after_the_bundle_was_published_anew_serves_it(
    home, place, tmp_path
):
    mine = Partition(home.store.root, place.key)
    given = setup(home, None, place.key.split("/")[1])
    assert given.name is not None
    before = running._versions(given, Splitting(given.config))
    assert before.refresh()
    name, folder = published.fetch(mine, tmp_path)
    published.publish(mine, folder, name, mine.manifest().lineage["model_uri"], 1e-4)
    assert lost_files.sweep(home.store, -2 * lost_files.SLACK_S)
    assert not folder.exists()

    after = running._versions(given, Splitting(given.config))
    assert after.refresh(), after.refused
    assert before.refresh(), "the one that ran on takes it over"
    anew = {versions.served["champion"].bundle.folder for versions in (before, after)}
    assert anew == {published.fetch(mine, tmp_path)[1]}
    assert not before.refresh()


@pytest.fixture(scope="module")
def alone(chain, place, tmp_path_factory):
    """The service's own way up in a process of its own, from the setup to an answer."""
    run = place.key.split("/")[1]
    item = recorded_questions(chain)[0]["question"]["candidates"][0]
    work = tmp_path_factory.mktemp("alone")
    done = subprocess.run(
        [sys.executable, str(ALONE), chain.settings.home, run, str(work), item],
        capture_output=True, text=True, check=False, cwd=work,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_served_where_mlflow_cannot_even_be_imported(alone, place):
    run = place.key.split("/")[1]
    assert alone["ready"]["arms"]["champion"] == {"version": "1", "line": "dupn", "run": run}
    assert alone["code"] == 200
    assert alone["ranked"]["model_version"] == "1"
    assert 0 < alone["ranked"]["items"][0]["ctr"] < 1


def test_a_full_collection_does_not_walk_what_a_worker_has_imported(alone):
    assert alone["walked"] < alone["kept"] / 2
