"""What a study is: cells that are run once each, in stages, and what they show together.

A cell is known by its key (`all-ctr-3`), leaves one JSON file of figures, and is run again only if
a setting that decides it has changed. The cells of a stage do not need each other, so they may run
side by side, here or as mapped tasks of the `dupn_study` DAG; a stage needs those before it.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import ValidationError

from evaluation.studies import protocol
from evaluation.studies.cells import Cell
from infra.config import Config
from infra.errors import ConfigError
from infra.progress import Progress
from infra.store import Store
from pipeline.settings import Settings

C = TypeVar("C", bound=Cell)
DECIDES_NOTHING: Mapping[str, Mapping[str, Any]] = {
    "train": {"threads": 1, "device": "auto", "resume": True, "checkpoint_every_s": 60.0},
    "events": {"batch_rows": 262_144},
}
"""Settings of `train` that say how to learn and not what (`training.checkpoint.FREE`), and the rows
of a block, by which only a damaged file of Parquet is read otherwise, of which no study has one. A
digest has them, and bounds of memory, as every cell under docs/results has, whatever they are, so
that a cell is good for all."""

NOT_ASKED = {("evaluate", "moments")}
"""Settings of such groups that no study asks: it draws its questions itself."""
LATER = {
    ("train", "click_prices"): 0.0,
    ("train", "ranks_unseen"): False,
    ("train", "shards"): 1,
    ("model", "price_memory"): False,
    ("model", "ranks_with_query"): False,
    ("samples", "weight_of_price"): 0.0,
    ("model", "price_offers"): False,
    ("samples", "price_offers"): False,
    ("marketplace", "in_shop"): 0.0,
    ("evaluate", "max_entropy_c"): 1.0,
    ("quality", "min_joined_share"): 1e-4,
    ("quality", "warn_changed_share"): 0.02,
    ("quality", "warn_page_stale_h"): 3.0,
}
"""Settings that are younger than cells under docs/results, and what they were before: a
digest has them where they are something else."""


def plain(settings: Settings, names: Collection[str]) -> dict[str, Any]:
    """Groups of settings as JSON has them, as far as they decide what is found."""
    found = settings.model_dump(mode="json", include=set(names))
    for group in found:
        if isinstance(one := getattr(settings, group), Config):
            found[group] |= {**one.bounds(), **DECIDES_NOTHING.get(group, {})}
    for group, name in NOT_ASKED:
        found.get(group, {}).pop(name, None)
    for (group, name), usual in LATER.items():
        if group in found and found[group][name] == usual:
            del found[group][name]
    return found


def unless(value: Any, usual: Any) -> list[Any]:
    """In a digest: what cells under docs/results do not name, where it is something else."""
    return [] if value == usual else [value]


def line(settings: Settings, names: Collection[str]) -> str:
    """`plain` as a line, in the order of the settings; data that cells rest on is named by it."""
    return json.dumps(plain(settings, names), separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Logged:
    """A cell as a run of MLflow: params, and metrics by step."""

    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Sequence[tuple[int, Mapping[str, float]]] = ()


class Study(ABC, Generic[C]):
    """A study of some seeds, or its small form that only shows that it runs.

    Args:
        settings: of its preset.
        seeds: worlds: the seeds 1, 2, ...; of the small form one, whatever is asked for.
        quick: the small form, reported under `<name>-quick`.
    """

    title: ClassVar[str]
    """Its name on the command line."""
    preset: ClassVar[str]
    """Whose settings it takes."""

    def __init__(self, settings: Settings, seeds: int, quick: bool) -> None:
        if not settings.store.is_local:
            raise ConfigError(f"a study works on a local disk. Give --home, not {settings.home}.")
        self.settings = settings
        self.seeds = 1 if quick else seeds
        self.quick = quick

    @property
    def name(self) -> str:
        """Of its folder under `reports/study`."""
        return f"{self.title}-quick" if self.quick else self.title

    @property
    def network(self) -> str:
        """What reports say of the network."""
        chosen = self.settings
        return protocol.network(chosen.model, chosen.train, chosen.samples)

    @property
    def store(self) -> Store:
        """Where figures and reports go."""
        return self.settings.store

    @abstractmethod
    def stages(self) -> Sequence[Sequence[str]]:
        """Keys of all cells; a stage may need the results of those before it."""

    @abstractmethod
    def decides(self, key: str) -> Any:
        """What decides a cell, as plain JSON: with anything else it would be another."""

    @abstractmethod
    def kind(self, key: str) -> type[C]:
        """The record that the cell leaves."""

    def require(self, key: str) -> None:
        """Ask for the packages that a cell works with: before any cell is run, as hours may be.

        Raises:
            ConfigError: one is not installed.
        """
        del key

    @abstractmethod
    def work(self, key: str, digest: str, progress: Progress) -> C:
        """Run a cell; it counts its own steps, `steps(key)` of them."""

    @abstractmethod
    def report(self) -> Mapping[str, Any]:
        """JSON, pictures and page under `reports/study/<name>`; what the command says."""

    def steps(self, key: str) -> int:
        """Of a cell, for the progress."""
        del key
        return 1

    def logged(self, cell: C) -> Logged:
        """What MLflow is told of a cell."""
        del cell
        return Logged()

    def kept(self, key: str) -> C | None:
        """A finished cell of these settings."""
        content = self.store.get(self.place(key))
        try:
            cell = self.kind(key).model_validate_json(content) if content else None
        except ValidationError:  # cut off, or of an older form: it is run again
            return None
        return cell if cell is not None and cell.settings == self.digest(key) else None

    def cell(self, key: str, progress: Progress) -> bool:
        """Run a cell if it is not there; whether it was run now."""
        known = self.kept(key) is not None
        if known:
            progress.advance(self.steps(key))
        else:
            done = self.work(key, self.digest(key), progress)
            self.store.put(self.place(key), done.model_dump_json())
        self.clean(key)
        return not known

    def clean(self, key: str) -> None:
        """Remove what a finished cell worked with."""
        del key

    def left(self) -> list[str]:
        """Keys of the cells that are still to be run.

        Raises:
            ConfigError: one of them works with a package that is not installed.
        """
        keys = [key for stage in self.stages() for key in stage if not self._done(key)]
        for key in keys:
            self.require(key)
        return keys

    def _done(self, key: str) -> bool:
        try:
            return self.kept(key) is not None
        except ConfigError:  # what it rests on has not been run
            return False

    def finished(self, keys: Sequence[str]) -> list[C]:
        """Cells that have to be there.

        Raises:
            ConfigError: one is not.
        """
        found = [self.kept(key) for key in keys]
        missing = [key for key, cell in zip(keys, found, strict=True) if cell is None]
        if missing:
            raise ConfigError(
                f"study {self.name}: {len(missing)} of {len(keys)} cells are missing, first "
                f"{missing[0]}. Run `dupn study {self.title}` again: it does what is left."
            )
        return [cell for cell in found if cell is not None]

    def place(self, key: str) -> str:
        """Where the store keeps a cell."""
        return f"reports/study/{self.name}/cells/{key}.json"

    def digest(self, key: str) -> str:
        """Changes with what decides a cell, and with nothing else."""
        deciding = json.dumps(self.decides(key), sort_keys=True, default=str)
        return hashlib.sha256(deciding.encode()).hexdigest()[:12]
