"""All settings of a run, composed from the configs of the parts; presets state only differences.

`load("demo", home, ["train.epochs=2"])` is what front doors call, and `of_form` those that anybody
fills in. Order, later wins: defaults, preset, `DUPN_SET` (one a line, or separated by commas),
`--set`. The home comes from the argument, else `DUPN_HOME`, else `./artifacts`. `handed_on` gives
them to another program; `own` are those of a program that is asked for none.
"""

import json
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, model_validator

from evaluation.gate import GateConfig
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.settings import CompatibilityConfig, EvaluateConfig, WatchConfig
from features.events import EventsConfig
from features.items.statistics import StatisticsConfig
from features.quality.figures import QualityConfig
from features.samples import SamplesConfig
from features.sequence import SequencesConfig
from features.vocabulary import VocabularyConfig
from infra.alerts import AlertsConfig
from infra.config import LARGEST_SEED, Config, apart, build, each, incompatible, overrides, preset
from infra.errors import ConfigError
from infra.home import absolute, require_addressable, require_place
from infra.programs import RuntimeConfig
from infra.store import Store
from infra.tracking import TrackingConfig
from pipeline import form
from pipeline.abtest.config import LivingConfig
from pipeline.beam.runner import BeamConfig
from pipeline.nights.config import NightlyConfig
from pipeline.release.config import CanaryConfig
from pipeline.represent.config import RepresentConfig
from pipeline.studies.config import StudyConfig
from pipeline.upkeep.retention import RetentionConfig
from serving.settings import ServeConfig
from training.config import ModelConfig, TrainConfig
from training.peers.config import PeersConfig, WideConfig
from training.update_config import UpdateConfig

_SET = "DUPN_SET"


class Settings(Config):
    """What a run is made of."""

    home: str = "artifacts"
    """A local path or an object-store URI. Only the environment says it: `load` refuses others."""
    seed: int = Field(7, ge=0, le=LARGEST_SEED)
    """Of the marketplace, of drawn negatives, of first weights, shuffling and dropout."""
    dataset: str = "marketplace"
    """A name in infra/datasets, or the path of a TOML that describes your log."""
    first_day: date = date(2026, 3, 2)
    """First simulated day."""
    line: str = Field("dupn", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Name of the recipe that is updated nightly."""
    beam: BeamConfig = BeamConfig()
    marketplace: MarketplaceConfig = MarketplaceConfig()
    events: EventsConfig = EventsConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    statistics: StatisticsConfig = StatisticsConfig()
    sequences: SequencesConfig = SequencesConfig()
    samples: SamplesConfig = SamplesConfig()
    quality: QualityConfig = QualityConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    update: UpdateConfig = UpdateConfig()
    wide: WideConfig = WideConfig()
    peers: PeersConfig = PeersConfig()
    study: StudyConfig = StudyConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    gate: GateConfig = GateConfig()
    compatibility: CompatibilityConfig = CompatibilityConfig()
    canary: CanaryConfig = CanaryConfig()
    represent: RepresentConfig = RepresentConfig()
    nightly: NightlyConfig = NightlyConfig()
    retention: RetentionConfig = RetentionConfig()
    alerts: AlertsConfig = AlertsConfig()
    watch: WatchConfig = WatchConfig()
    living: LivingConfig = LivingConfig()
    serve: ServeConfig = ServeConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    tracking: TrackingConfig = TrackingConfig()
    _preset: str = PrivateAttr("")

    @model_validator(mode="after")
    def _offers_are_in_the_samples(self) -> "Settings":
        if self.model.price_offers and not self.samples.price_offers:
            raise incompatible(
                "model.price_offers has to be in the samples: "
                "set samples.price_offers = true, or model.price_offers = false"
            )
        return self

    @property
    def store(self) -> Store:
        """The store under `home`."""
        return Store(self.home)

    @property
    def preset(self) -> str:
        """What they began with, for records: a name, or the path of a TOML; no setting itself."""
        return self._preset

    def begun_with(self, preset: str) -> "Settings":
        """The same settings, which know their preset."""
        self._preset = _there(preset)
        return self


def load(name: str = "demo", home: str | None = None, pairs: Sequence[str] = ()) -> Settings:
    """Settings of a preset with overrides.

    Args:
        name: a preset of infra/presets, or the path of a TOML.
        home: where to write; else `DUPN_HOME`, else `./artifacts`.
        pairs: `a.b=value`, the last wins.

    Raises:
        ConfigError: an unknown name, a refused value, a home among the settings, or one that
            cannot be (`infra.home`).
    """
    return _over(preset(name), each(pairs), home).begun_with(name)


def of_form(name: str, pairs: Sequence[str] = ()) -> Settings:
    """Settings of the form of a DAG, under the environment's home.

    Args:
        name: as of `load`.
        pairs: as of `load`.

    Raises:
        ConfigError: as of `load`; or one of them is not a form's to say (`pipeline.form`).
    """
    name = name.strip()
    if name.endswith(".toml"):
        form.require_absolute(name)
    base, asked = preset(name), each(pairs)
    if not form.is_free(name):
        form.check(base, name)
    for layer in asked:
        form.check(layer, "the form")
    return _over(base, asked, None).begun_with(name)


def _over(base: dict[str, Any], asked: Sequence[dict[str, Any]], home: str | None) -> Settings:
    """Settings of a preset, of the environment and of what was asked for, in this order."""
    place = absolute(home or os.environ.get("DUPN_HOME") or "artifacts")
    layers = [base, *each(_given(), f"{_SET}:"), *asked]
    if any("home" in layer for layer in layers):
        raise ConfigError(
            f"home is no setting of a preset, {_SET} or --set. Give --home, or set DUPN_HOME."
        )
    require_place(place)
    found = build(Settings, *layers, {"home": place})
    if found.tracking.uri is None and found.store.is_local:
        require_addressable(place)
    return build(Settings, *layers, {"home": place}, overrides(_here(found)))


def own(name: str, home: str, pairs: Sequence[str]) -> Settings:
    """Settings that a program chose itself, as benches do: nothing around it says others.

    Args:
        name: a preset of infra/presets.
        home: a local path.
        pairs: `a.b=value`, the last wins.
    """
    made = build(Settings, preset(name), *each(pairs, "the program:"), {"home": home})
    return made.begun_with(name)


def handed_on(settings: Settings, name: str, pairs: Sequence[str]) -> dict[str, str]:
    """Variables by which programs of another working folder, and DAGs, find the same settings.

    Not options: anybody on the machine can read a command line.

    Args:
        settings: what the others made.
        name: of the preset, or the path of a TOML.
        pairs: of `--set`.
    """
    preset_there = _there(name)
    nights = {"DUPN_NIGHTLY_DATASET": settings.dataset, "DUPN_NIGHTLY_PRESET": preset_there}
    return {
        "DUPN_PRESET": preset_there,
        _SET: "".join(f"{pair}\n" for pair in (*_given(), *pairs, *_here(settings))),
        **{variable: os.environ.get(variable) or usual for variable, usual in nights.items()},
    }


def _there(name: str) -> str:
    """A preset as it is called in any folder."""
    return str(Path(name).absolute()) if name.endswith(".toml") else name


def _here(settings: Settings) -> list[str]:
    """Paths among the settings, which are of the folder in which they are given, as pairs."""
    paths = {
        "dataset": settings.dataset if settings.dataset.endswith(".toml") else "",
        "serve.work": settings.serve.work,
        "study.data": settings.study.data if settings.study.data != StudyConfig().data else "",
    }
    return [f"{name}={json.dumps(absolute(one))}" for name, one in paths.items() if one]


def _given() -> list[str]:
    """The pairs of `DUPN_SET`; any value may have commas where each pair has a line.

    Raises:
        ConfigError: one has no name; it is told by its place, since it may be part of a login.
    """
    text = os.environ.get(_SET, "")
    parts = text.splitlines() if "\n" in text else apart(text)
    pairs, after = [part.strip() for part in parts if part.strip()], ""
    for number, pair in enumerate(pairs, 1):
        name, separator, _ = pair.partition("=")
        if not separator or not name.strip():
            raise ConfigError(
                f"{_SET}: part {number} of {len(pairs)}{after} is not of the form a.b=value. Write "
                "it like seed=7; a value with a comma goes in quotes, or each pair on its own line."
            )
        after = f", after {name.strip()},"
    return pairs
