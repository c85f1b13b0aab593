"""The whole chain on the smoke preset, run once a session; tests read what it left.

Whoever changes the home works on a copy of its data (`copy_data`), so the order of tests is free.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from infra.registry import MODEL
from infra.store import Store
from pipeline import chain, steps
from pipeline.learn import learning
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings, load

FIRST = date(2026, 3, 2)
TRAINED = 3
DAYS = tuple(FIRST + timedelta(days=i) for i in range(TRAINED + 1))
EVALUATED = DAYS[-1]
PAIRS = ("train.threads=1", "evaluate.replicates=50")
DATA = ("raw", "truth", "events", "rejects", "quality", "vocabulary", "catalog", "statistics")
CARRIED = ("sequences", "samples")
RESULT = "result.json"
CHILD = "dupn-child"
"""Run key of the version that `with_child` promotes."""


@dataclass(frozen=True)
class Chain:
    """A home in which `dupn run initial` has ended, and the gate's verdict."""

    settings: Settings
    result: Mapping[str, Any]
    ran_in: Path
    """The working directory, which was empty."""

    @property
    def store(self) -> Store:
        return self.settings.store


def smoke(home: Path, *pairs: str) -> Settings:
    return load("smoke", str(home), [*PAIRS, *pairs])


def run(folder: Path) -> Chain:
    """`dupn run initial` in an empty folder; what came of it."""
    ran_in = folder / "ran-in"
    ran_in.mkdir()
    with chdir(ran_in):
        result = chain.initial(smoke(folder / "home"), FIRST, TRAINED)
    (folder / RESULT).write_text(json.dumps(result, default=str))
    return at(folder)


def at(folder: Path) -> Chain:
    """The chain that `run` left there."""
    result = json.loads((folder / RESULT).read_text())
    return Chain(smoke(folder / "home"), result, folder / "ran-in")


def copy_data(chain: Chain, home: Path) -> None:
    """Everything up to the samples and their quality, without models and registry."""
    for stage in (*DATA, *CARRIED, "reports/quality"):
        shutil.copytree(Path(chain.settings.home, stage), home / stage)


def published(settings: Settings, day: date = EVALUATED) -> Any:
    """`bundles/<run key>` of the model that was evaluated on a day."""
    mine = learning.candidate(settings, day)
    return settings.store.partition("bundles", None, mine.key)


def logged(settings: Settings, day: date = EVALUATED) -> Path:
    """The folder in which MLflow keeps that model."""
    name = published(settings, day).manifest().lineage["model_uri"].removeprefix("models:/")
    return Path(settings.home, "mlflow", "artifacts", "models", name, "artifacts")


def logged_bundle(chain: Chain) -> Path:
    return logged(chain.settings) / "artifacts" / "bundle"


def recorded_questions(chain: Chain) -> list[dict[str, Any]]:
    """Moments of the evaluated day with the scores that evaluation computed."""
    place = published(chain.settings)
    with place.open(place.manifest().files[0]) as source:
        return json.loads(source.read())


def with_champion(chain: Chain, home: Path) -> Settings:
    """A copy of the chain's data with one champion: learnt of two days, judged on the third."""
    copy_data(chain, home)
    mine = smoke(home, "evaluate.shuffles=false")
    steps.train(mine, DAYS[1], 2)
    for step in (steps.evaluate, steps.bundle, steps.gate, steps.promote):
        step(mine, DAYS[2])
    return mine


def with_child(settings: Settings) -> str:
    """A version that was trained on from the champion becomes champion; the run key before it."""
    registry = registry_of(settings)
    parent = registry.champion().tags["run_key"]
    checkpoints = Path(settings.home, "checkpoints")
    shutil.copytree(checkpoints / parent, checkpoints / CHILD)
    manifest = checkpoints / CHILD / "final" / "_manifest.json"
    content = json.loads(manifest.read_text())
    content["lineage"] |= {"parent": parent}
    manifest.write_text(json.dumps(content))
    champion = registry.champion()
    tags = {"run_key": CHILD, "line": "dupn", "representation": "1"}
    registry.client.create_model_version(MODEL, champion.source, "another", tags=tags)
    registry.promote("2", "a night")
    return parent
