"""What training runs say of the settings that made their data, which training itself knows not.

Params name data set, preset and line, and how samples and what they are built of were made; the
file `settings.json` has every setting, and the digest that reports name. Params of an MLflow run
are written once, so a run that goes on keeps the file that it began with, too.
"""

import json
from collections.abc import Mapping
from typing import Any

from infra.config import told
from infra.tracking import MlflowTracker
from pipeline.settings import Settings

FILE = "settings.json"
OF_DATA = ("vocabulary", "statistics", "sequences", "samples")
"""Sections that decide what a network learns from, in the order of the steps."""

NONE = "none"
"""Where a preset's name would stand, of settings that began with none."""


class TrainingTracker(MlflowTracker):
    """Records a training run, and beside what it says itself the settings that it was given."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.tracking, settings.store)
        self.settings = settings

    def params(self, values: Mapping[str, Any]) -> None:
        """As of any run, and of the data; a run that goes on has its file already."""
        super().params({**values, **of_data(self.settings)})
        if all(file.path != FILE for file in self.client.list_artifacts(self.run_id)):
            self.text(whole(self.settings), FILE)


def of_data(settings: Settings) -> dict[str, Any]:
    """The params, nested: names of settings, so that runs are found by what made their data."""
    plain = told(settings)
    names = {"dataset": settings.dataset, "preset": settings.preset or NONE, "line": settings.line}
    return {**names, **{section: plain[section] for section in OF_DATA}}


def whole(settings: Settings) -> str:
    """The file: every setting that holds no login, under the digest and the preset."""
    content = {"digest": settings.digest(), "preset": settings.preset, "settings": told(settings)}
    return json.dumps(content, indent=1)
