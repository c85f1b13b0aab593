"""How well a network in training answers days that it does not learn from."""

from collections.abc import Iterable, Mapping

from training.batch import Batch
from training.config import TrainConfig
from training.data import Reader, Samples
from training.learner import Learner
from training.progressive import Meters

VALIDATION = "validation"


def judging(samples: Samples, config: TrainConfig) -> Reader:
    """A reader of the days that judge.

    Raises:
        TrainingError: nothing is in them.
    """
    return Reader(
        samples, batch_size=config.batch_size, buffer=config.shuffle_buffer, shuffle=False
    )


def judge(
    learner: Learner, batches: Iterable[Batch], of: str = "the moments that judge"
) -> dict[str, float]:
    """`validation_ctr_auc` and the like, and `validation_loss`: the tasks' losses, weighted.

    There is no loss where none of the tasks is asked. One that the network does not learn, because
    it is asked nowhere else, does not count.

    Args:
        learner: whose network answers.
        batches: to be answered.
        of: what they belong to, for errors.

    Raises:
        TrainingError: a loss is not a number.
    """
    config = learner.config
    meters = Meters(config.tasks)
    for batch in batches:
        step = learner.judge(batch, of)
        meters.add(step.outputs, batch, step.losses)
    judging = {task: meter for task, meter in meters.of.items() if task not in learner.left_out}
    figures = meters.figures(VALIDATION)
    if any(meter.questions for meter in judging.values()):
        losses = (config.weights.get(task, 1.0) * meter.loss for task, meter in judging.items())
        figures[f"{VALIDATION}_loss"] = sum(losses)
    return figures


def of_the_best(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures of a finished run, as they are recorded at its end.

    Those of validation are of the epoch that was kept and have a name of their own: at the last
    step they would be the last point of a curve whose point there is another.
    """
    own = f"{VALIDATION}_"
    return {f"best_{n}" if n.startswith(own) else n: value for n, value in figures.items()}
