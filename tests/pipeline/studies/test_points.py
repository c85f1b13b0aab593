"""The point of a fit in MLflow, where the points that are tried were changed after it was kept."""

import pytest

from evaluation.studies.asking import Score
from evaluation.studies.contest import FitCell, Step, Trial, TunedCell
from evaluation.studies.transfer import WayCell
from pipeline.settings import load
from pipeline.studies import studying
from pipeline.studies.transfer import SearchCell
from training.config import Task
from training.transfer import Way

LOW, MIDDLE, HIGH = (f"{{dropout={rate}}}" for rate in (0.1, 0.2, 0.3))
STEP = Step(moments=1, loss=1.0, figures={})


def made(home, title, *points):
    settings = load("study", str(home), [f"study.trials=[{','.join(points)}]"])
    return studying.make(settings, title, 1, quick=False)


def keep(study, key, kind, **facts):
    cell = kind.model_construct(settings=study.digest(key), **facts)
    study.store.put(study.place(key), cell.model_dump_json())
    return cell


def searched(study, model, word, tasks, chosen):
    """What a search leaves; of one point it tries none."""
    points = study.points(model)
    tried = [
        Trial(settings=one.model_dump(), loss=1.0, figures={}, moments=1, seconds=1.0)
        for one in points
    ]
    return keep(study, f"tune-{model}-{word}", TunedCell, model=model, tasks=tasks, chosen=chosen,
                trials=tuple(tried if len(points) > 1 else ()))  # fmt: skip


CHANGED = [([HIGH, LOW, MIDDLE], 0), ([HIGH], 0), ([MIDDLE, HIGH], 1)]


@pytest.mark.parametrize("model", ["all", "wide_deep"])
@pytest.mark.parametrize(("points", "chosen"), CHANGED)
@pytest.mark.parametrize(
    ("word", "tasks"),
    [("ctr", (Task.CTR,)), ("joint", (Task.CTR, Task.L2R, Task.PPP, Task.FIFP))],
)
def test_a_fit_is_told_with_the_point_that_it_had(tmp_path, model, word, tasks, points, chosen):
    key, before = f"{model}-{word}-1", made(tmp_path, "table2", LOW, MIDDLE, HIGH)
    search = searched(before, model, word, tasks, 2)
    own = before.logged(search).params["point"]
    assert (own["dropout"], "alpha" in own) == (0.3, model == "wide_deep")
    fit = {"model": model, "tasks": tasks, "seed": 1, "trial": 2, "scores": (), "curve": (STEP,)}
    keep(before, key, FitCell, **fit, parameters=1, seconds=1.0)
    told = before.logged(before.finished([key])[0]).params["point"]
    after = made(tmp_path, "table2", *points)
    searched(after, model, word, tasks, chosen)
    (kept,) = after.finished([key])
    assert after.logged(kept).params["point"] == told
    assert told["dropout"] == 0.3


@pytest.mark.parametrize(("points", "chosen"), CHANGED)
def test_a_way_is_told_with_the_point_that_it_had(tmp_path, points, chosen):
    for some, place in (([LOW, MIDDLE, HIGH], 2), (points, chosen)):
        study = made(tmp_path, "transfer", *some)
        losses = tuple(float(at != place) for at in range(len(some)))
        keep(study, "search-rs", SearchCell, way=Way.RS, losses=losses)
        if place == 2:
            keep(study, "rs-1", WayCell, seed=1, way=Way.RS, trial=2, curve=(STEP,), seconds=1.0,
                 score=Score(measure="spp_auc", value=0.5))  # fmt: skip
    (kept,) = study.finished(["rs-1"])
    assert study.logged(kept).params["point"]["dropout"] == 0.3
