"""Trains as told, pausing at every step, so that a test can kill it in the middle.

Arguments: home, run name, model and train settings as JSON, then days.
"""

import sys
import time
from contextlib import contextmanager
from datetime import date

from infra.store import Store
from training.config import ModelConfig, TrainConfig
from training.fit import fit


class Slow:
    steps = 0

    def advance(self, done=1, **figures):
        """From the sixth step on it waits to be killed, however late that comes."""
        self.steps += 1
        time.sleep(0.1 if self.steps < 6 else 3600)


@contextmanager
def slow(*args, **options):
    yield Slow()


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
