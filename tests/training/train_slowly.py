"""Trains as told, pausing at every step, so that a test can kill it in the middle.

Arguments: home, run name, model and train settings as JSON, then days.
"""

import sys
from datetime import date

from infra.store import Store
from tests.training.slowly import slow
from training.config import ModelConfig, TrainConfig
from training.fit import fit


def main(home, run, model, train, *days):
    fit(
        Store(home),
        [date.fromisoformat(day) for day in days],
        ModelConfig.model_validate_json(model),
        TrainConfig.model_validate_json(train),
        seed=1,
        run_name=run,
        progress=slow,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
