"""Killed at any write, a release done again leaves one version, one move and one champion."""

import shutil
import sqlite3
from collections.abc import Sequence
from typing import Any

import pytest

from infra.store import Store
from serving import published
from tests.chain import DAYS, EVALUATED
from tests.drills.drill import Told, Warm, decisions, killed, share_out
from tests.drills.homes import Homes, tracked

RUN = f"dupn-{DAYS[-2]}"
REGISTER = ("register", {"day": EVALUATED, "run": RUN})
PROMOTE = ("promote", {"day": EVALUATED, "run": RUN})


class Release:
    """The chain's candidate, judged and let pass, before anybody knows it."""

    def __init__(self, warm: Warm, places: Sequence[Homes]) -> None:
        self.warm, self.places = warm, places
        self.homes = places[0]
        for homes in places:
            forget(homes.back("chain"))
            homes.keep("judged")

    def run(self, homes: Homes, *steps: Any, **options: Any) -> Told:
        return self.warm.run(homes.work, *steps, **options)

    def seen(self, homes: Homes) -> dict[str, Any]:
        work = homes.work
        return {"ledger": decisions(work), "bundles": bundles(work), **tracked(work)}

    def undisturbed(self, homes: Homes, start: str, *steps: Any) -> tuple[Told, dict[str, Any]]:
        homes.back(start)
        told = self.run(homes, *steps)
        assert told.code == 0, told.sentence
        return told, self.seen(homes)

    def survives_at_every_write(self, start: str, *steps: Any) -> int:
        passed, after = [], {}  # what versions say of their settings knows the place
        for homes in self.places:
            told, after[homes] = self.undisturbed(homes, start, *steps)
            passed = told.passed

        def survives(homes: Homes, number: int) -> None:
            name = passed[number]
            homes.back(start)
            died = self.run(homes, *steps, kill_at=number)
            assert killed(died), (name, died)
            again = self.run(homes, *steps)
            assert again.code == 0, (name, again.sentence)
            assert self.seen(homes) == after[homes], name

        share_out(range(len(passed)), self.places, survives)
        return len(passed)


def bundles(home: Any) -> dict[str, Any]:
    """What is published to serve from. An index of titles has names and ids of chance."""
    found = {}
    for run in Store(home).names("bundles"):
        for one in published.published(Store(home), run):
            if not one.exists():
                continue
            one.verify()
            manifest = one.manifest()
            lineage = {name: fact for name, fact in manifest.lineage.items() if name != "wall_s"}
            files = {entry.name.split("/", 1)[1]: entry.sha256 for entry in manifest.files}
            lying = {name: sha for name, sha in files.items() if "/recall/" not in name}
            found[one.key] = (lineage, lying, len(files))
    return found


def forget(home: Any) -> None:
    """No version, no bundle of one, no alias, no ledger: as before the first release."""
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as database:
        for table in ("registered_model_aliases", "model_version_tags", "model_versions"):
            database.execute(f"DELETE FROM {table}")
        database.execute("DELETE FROM registered_model_tags")
        database.execute("DELETE FROM registered_models")
    database.close()
    shutil.rmtree(home / "ledger")
    for bundle in home.glob("bundles/*/v*"):
        shutil.rmtree(bundle)


@pytest.fixture(scope="module")
def release(warm, places):
    return Release(warm, places)


@pytest.mark.drill
def test_killed_at_every_write_of_register(release):
    assert release.survives_at_every_write("judged", REGISTER) >= 8


@pytest.mark.drill
def test_killed_at_every_write_of_promote(release):
    for homes in release.places:
        release.undisturbed(homes, "judged", REGISTER)
        homes.keep("registered")
    assert release.survives_at_every_write("registered", PROMOTE) >= 5


@pytest.mark.drill
def test_killed_before_the_alias_moves_the_bundle_is_there_or_the_alias_is_not(release):
    """A version was registered and its bundle lost; promoted again, and killed where it counts."""
    homes = release.homes
    release.undisturbed(homes, "judged", REGISTER)
    work = homes.work
    for bundle in work.glob("bundles/*/v*"):
        shutil.rmtree(bundle)
    homes.keep("bare")
    passed = release.undisturbed(homes, "bare", PROMOTE)[0].passed
    assert {"copy_files of a bundle", "build of a bundle"} < set(passed)
    counting = [n for n, name in enumerate(passed) if "manifest" in name or "alias" in name]
    assert len(counting) >= 3
    for number in counting:
        name = passed[number]
        homes.back("bare")
        assert killed(release.run(homes, PROMOTE, kill_at=number)), name
        seen = release.seen(homes)
        assert not seen["aliases"] or seen["bundles"], name
