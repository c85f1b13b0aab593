"""Killed at any write, a release done again leaves one version, one move and one champion."""

from typing import Any

import pytest

from tests.chain import DAYS, EVALUATED
from tests.drills.drill import Told, Warm, decisions, killed
from tests.drills.homes import Homes, tracked

RUN = f"dupn-{DAYS[-2]}"
REGISTER = ("register", {"day": EVALUATED, "run": RUN})
PROMOTE = ("promote", {"day": EVALUATED, "run": RUN})


class Release:
    """The chain's candidate, judged and let pass, before anybody knows it."""

    def __init__(self, warm: Warm, homes: Homes) -> None:
        self.warm, self.homes = warm, homes
        forget(homes.back("chain"))
        homes.keep("judged")

    def run(self, *steps: Any, **options: Any) -> Told:
        return self.warm.run(self.homes.work, *steps, **options)

    def seen(self) -> dict[str, Any]:
        return {"ledger": decisions(self.homes.work), **tracked(self.homes.work)}

    def undisturbed(self, start: str, *steps: Any) -> tuple[Told, dict[str, Any]]:
        self.homes.back(start)
        told = self.run(*steps)
        assert told.code == 0, told.sentence
        return told, self.seen()

    def survives_at_every_write(self, start: str, *steps: Any) -> int:
        told, after = self.undisturbed(start, *steps)
        for number, name in enumerate(told.passed):
            self.homes.back(start)
            died = self.run(*steps, kill_at=number)
            assert killed(died), (name, died)
            again = self.run(*steps)
            assert again.code == 0, (name, again.sentence)
            assert self.seen() == after, name
        return len(told.passed)


def forget(home: Any) -> None:
    """No version, no alias, no ledger: as before the first release."""
    import shutil
    import sqlite3

    with sqlite3.connect(home / "mlflow" / "mlflow.db") as database:
        for table in ("registered_model_aliases", "model_version_tags", "model_versions"):
            database.execute(f"DELETE FROM {table}")
        database.execute("DELETE FROM registered_model_tags")
        database.execute("DELETE FROM registered_models")
    database.close()
    shutil.rmtree(home / "ledger")


@pytest.fixture(scope="module")
def release(warm, homes):
    return Release(warm, homes)


def test_killed_at_every_write_of_register(release):
    assert release.survives_at_every_write("judged", REGISTER) >= 2


def test_killed_at_every_write_of_promote(release):
    release.undisturbed("judged", REGISTER)
    release.homes.keep("registered")
    assert release.survives_at_every_write("registered", PROMOTE) >= 5
