"""Updates as told, pausing at every step, so that a test can kill it in the middle.

Arguments: home, parent's run name, run name, day, train and update settings as JSON.
"""

import sys
from datetime import date

from infra.store import Store
from tests.training.slowly import slow
from training import checkpoint
from training.config import TrainConfig
from training.update import plan, update
from training.update_config import UpdateConfig


def main(home, parent, run, day, train, settings):
    store, config = Store(home), UpdateConfig.model_validate_json(settings)
    night = plan(store, checkpoint.final(store, parent), date.fromisoformat(day), config)
    how = TrainConfig.model_validate_json(train)
    update(store, night, how, config, seed=1, run_name=run, progress=slow)


if __name__ == "__main__":
    main(*sys.argv[1:])
