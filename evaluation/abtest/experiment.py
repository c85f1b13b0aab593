"""An experiment as data: everything that was promised before its first day, in one TOML.

```toml
id = "dupn-for-wide"
first_day = 2026-03-14
planned_days = 14

[arms]           # line = share of the users; the first is the control, the line in production
wide = 0.5
dupn = 0.5

[rule]           # evaluation.abtest.design.Rule
primary = "ctr"
minimum_effect = 0.02
```

`Design` is what its statistics need; here stand the id, how users are split, what the read-out
reads and who has the last word. The digest is of what is declared, not of the text: a comment may
change, a share may not.
"""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from evaluation.abtest.design import LONGEST, Design
from features.abtest.traffic import Traffic
from infra.config import Config, known_keys, load_toml, nearest
from infra.errors import ConfigError
from infra.toml_lines import line_number

RESERVED = ("turns", "simulated")


class Recipe(Config):
    """How a line is updated every night; a line is a recipe."""

    preset: str = ""
    """Of infra/presets; empty: that of the run."""
    settings: tuple[str, ...] = ()
    """Over the preset, like `--set`: `["train.epochs=2"]`."""


class Experiment(Design):
    """What is declared."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """Names it everywhere: small letters, digits, `-`, `_` and `.`."""
    salt: str = ""
    """Of the hash that assigns users to arms; the id if it is empty. An old salt repeats an old
    split."""
    before_days: int = Field(14, ge=0, le=LONGEST)
    """Days before the first one that covariates and caps are taken from (the pre-period); about
    as many as are planned."""
    latency_budget_ms: float = Field(100.0, gt=0)
    """A page that took longer is slow (guardrail)."""
    approval: bool = False
    """Whether a person has to say yes before the verdict moves anything."""
    recipes: dict[str, Recipe] = Field({})
    """Line -> how it is updated nightly; a line that is not named has the settings of the run."""

    @field_validator("id")
    @classmethod
    def _free(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"{name} is the name of a folder beside those of experiments")
        return name

    @field_validator("arms")
    @classmethod
    def _pair(cls, arms: dict[str, float]) -> dict[str, float]:
        if len(arms) != 2:
            raise ValueError(f"{len(arms)} arms: one line is held against the one in production")
        return arms

    @model_validator(mode="after")
    def _lines(self) -> "Experiment":
        strange = sorted(set(self.recipes) - set(self.arms))
        if strange:
            raise ValueError(f"recipes: {', '.join(strange)} is no arm")
        return self

    @property
    def challenger(self) -> str:
        """The line that may take over."""
        return self.treatments[0]

    @property
    def traffic(self) -> Traffic:
        """How users are split."""
        salt, shares = self.salt or self.id, dict(self.arms)
        return Traffic(experiment=self.id, salt=salt, shares=shares, first_day=self.first_day)

    def runs(self, day: date) -> bool:
        """Whether a day lies in the experiment."""
        return self.first_day <= day <= self.last_day


def load(path: Path) -> Experiment:
    """The experiment that a TOML declares.

    Raises:
        ConfigError: naming the file, the line and the key that is wrong.
    """
    load_toml(path)  # a syntax error names its own line
    return parse(path.read_text(encoding="utf-8"), str(path))


def parse(text: str, source: str) -> Experiment:
    """An experiment from the text of its TOML; `source` is what errors call it."""
    return of(tomllib.loads(text), source, text)


def of(declared: dict[str, Any], source: str, text: str = "") -> Experiment:
    """An experiment from plain values (a form).

    Raises:
        ConfigError: the first thing that is wrong, and what to do.
    """
    try:
        return Experiment.model_validate(declared)
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(str(part) for part in first["loc"])
        where = f"{source} line {line_number(text, *path)}" if text else source
        raise ConfigError(f"{where}: {_sentence('.'.join(path), first)}") from None


def _sentence(key: str, error: Any) -> str:
    if error["type"] == "extra_forbidden":
        near = nearest(key, list(known_keys(Experiment)))
        hint = f"Did you mean {near}?" if near else "See docs/abtest.md for the keys."
        return f"{key} is not a key of an experiment. {hint}"
    if error["type"] == "missing":
        return f"{key} is missing. Add it."
    said = error["msg"].removeprefix("Value error, ")
    return f"{key}: {said}. Mend the declaration." if key else f"{said}. Mend the declaration."
