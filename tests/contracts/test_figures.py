"""The names of figures in docs/cli.md are those that reports and benches really give."""

import re
from itertools import product
from pathlib import Path

import pytest

from evaluation import offline, trial, watch, weighed
from evaluation.abtest import aa_study, power, summary
from evaluation.abtest.aa import METRIC_NAMES, Rule
from evaluation.abtest.aa_world import AAWorld
from evaluation.abtest.ratios import METRICS
from evaluation.ceiling import Truth
from evaluation.comparison import compare
from evaluation.gate import GateConfig
from evaluation.marketplace import bench as simulate
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.measures import MEASURES
from evaluation.names import HEADS
from evaluation.offline import Material
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from evaluation.studies import contest, drift, multitask_report, transfer
from evaluation.studies.asking import MEASURES as MEASURES_OF
from evaluation.studies.asking import Score
from evaluation.tasks import Others
from evaluation.yardsticks import KINDS, Yardstick
from pipeline.abtest import planning
from pipeline.bench import spoilt
from pipeline.studies import letter
from tests.evaluation import synthetic
from tests.evaluation.abtest import test_summary
from training.peers.names import PEERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
HARDER = "ctr_auc_same_category"
LEVELS = [str(level) for level in range(1, 8)]


def part(title):
    """What stands under a title of the page."""
    return re.split(r"^#+ ", PAGE.split(f"# {title}\n", 1)[1], maxsplit=1, flags=re.M)[0]


def rows(text, header):
    """Rows of the table whose first line is `header`, as lists of cells."""
    body = text.split(header, 1)[1].splitlines()[2:]
    found = []
    for line in body:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def names(cell):
    return re.findall(r"`([^`]+)`", cell)


REPORT = part("Offline report")
DOCUMENTED = {names(row[0])[0]: row for row in rows(REPORT, "| name | unit | what is asked |")}
YARDSTICKS = {
    names(row[0])[0]: set(names(row[2])) for row in rows(REPORT, "| name | is | measures |")
}
CHOICES = {
    "<measure>": list(DOCUMENTED),
    "<level>": LEVELS,
    "<input>": ["properties", "query"],
    "<shuffled>": ["l2r_auc", "ppp_precision", "fifp_auc"],
    "<precision>": ["fp32", "bf16"],
    "<candidates>": ["1", "10"],
    "<watched>": list(HEADS),
    "<age>": ["1", "7"],
    "<back>": ["1", "3"],
    "<arm>": list(drift.Arm),
    "<n>": ["11", "25"],
    "<metric>": list(METRIC_NAMES),
    "<compared>": list(METRICS),
    "<side>": list(summary.PAIR),
    "<day>": ["1", "2"],
    "<rule>": list(Rule),
    "<winner>": list(aa_study.POWER_RULES),
    "<effect>": ["1", "2", "3", "4", "5"],
    "<kind>": ["always", "once"],
    "<night>": ["10", "20", "30", "40"],
    "<defect>": sorted({kind.partition(":")[0] for kind in spoilt.KINDS}),
    "<part>": ["user", "item_200", "item_10000"],
    "<runtime>": ["eager", "aoti", "onnx"],
    "<width>": ["fp32", "bf16", "int8"],
    "<threads>": ["1", "2"],
    "<stage>": ["events", "vocabulary", "statistics", "sequences", "samples"],
    "<model>": list(PEERS),
    "<answered>": [MEASURES_OF[task] for task in contest.TASKS],
    "<other>": [*PEERS, *KINDS],
    "<way>": list(transfer.Way),
    "<against>": list(transfer.Way),
}


def expand(pattern):
    if "<yardstick>" in pattern:
        pairs = [(measure, who) for who, asked in YARDSTICKS.items() for measure in asked]
        return {
            pattern.replace("<measure>", measure).replace("<yardstick>", who)
            for measure, who in pairs
        }
    holes = re.findall(r"<\w+>", pattern)
    found = set()
    for choice in product(*(CHOICES[hole] for hole in holes)):
        name = pattern
        for hole, value in zip(holes, choice, strict=True):
            name = name.replace(hole, value)
        found.add(name)
    return found


def patterns(text):
    table = rows(text, "| name | unit | meaning |")
    return [pattern for row in table for pattern in names(row[0])]


def documented(title):
    return set().union(*(expand(pattern) for pattern in patterns(part(title))))


def report(derived):
    """A report with every yardstick and a truth for every measure."""
    asked, truth = synthetic.questions(derived=derived)
    model, broken = synthetic.predictions(asked, truth), synthetic.predictions(asked, truth, 5.0)
    places = {m.name: len(getattr(asked, m.place).moment) for m in MEASURES}
    scores = {m.name: synthetic.np.arange(places[m.name]) % 7 for m in MEASURES}
    others = [
        Yardstick(name, kind.title, (measure,), scores[measure])
        for name, kind in KINDS.items()
        for measure in kind.measures
    ]
    material = Material(
        key="dupn-2026-03-11",
        day="2026-03-12",
        context=Context(synthetic.np.ones(500, synthetic.np.int8), synthetic.np.ones(400, bool)),
        others=Others(others, Truth(scores, {"ctr_auc": truth, "l2r_auc": truth})),
        shuffled={"properties": broken, "query": broken},
    )
    return offline.evaluate(model, material, EvaluateConfig(replicates=20))


@pytest.fixture(scope="module")
def given():
    return {f.name: f for derived in (False, True) for f in report(derived).figures}


def test_every_figure_of_a_report_is_documented(given):
    assert set(given) - documented("Offline report") == set()


def test_every_documented_pattern_is_given(given):
    for pattern in patterns(REPORT):
        assert expand(pattern) & set(given), f"no report has {pattern}"


def test_measures_and_yardsticks_are_those_of_the_code(given):
    assert set(DOCUMENTED) == {m.name for m in MEASURES} | {HARDER}
    harder = {
        name: {*kind.measures, *([HARDER] if "ctr_auc" in kind.measures else [])}
        for name, kind in KINDS.items()
    }
    assert harder == YARDSTICKS
    for name, row in DOCUMENTED.items():
        assert name not in given or given[name].unit == row[1]


def test_units_of_other_figures_are_as_documented(given):
    for row in rows(REPORT, "| name | unit | meaning |"):
        if "as " in row[1]:
            continue
        for name in set().union(*map(expand, names(row[0]))) & set(given):
            assert given[name].unit == row[1], name


def test_figures_beside_a_champion_are_as_documented():
    asked, truth = synthetic.questions()
    mine, theirs = (synthetic.predictions(asked, truth, noise) for noise in (0.5, 1.0))
    context = Context(synthetic.np.ones(500, synthetic.np.int8), synthetic.np.ones(400, bool))
    config = EvaluateConfig(replicates=20)
    alone = offline.evaluate(mine, Material("dupn", "2026-03-12", context), config)
    beside = {"champion": "old", "comparison": compare(mine, theirs, context, config)}
    whole = alone.model_copy(update=beside)
    found = {one.name: one for one in weighed.figures(whole, GateConfig(floors={}))}
    known = documented("Beside a champion (`dupn evaluate`, `dupn gate`)")
    assert {*known, "ctr_ece"} == set(found)
    assert all(found[f"{name}_over_champion"].unit == DOCUMENTED[name][1] for name in HEADS)


def test_figures_of_the_simulation_bench_are_as_documented():
    tiny = MarketplaceConfig(users=50, items=300, categories=8, shops=8, icons=8)
    found = simulate.rows_per_second(tiny, days=1)
    assert {figure["name"] for figure in found} == documented("`dupn bench simulate`")


def test_figures_of_the_gate_bench_are_as_documented():
    kinds = {kind.partition(":")[0] for kind in spoilt.KINDS}
    trials = [trial.Trial(kind, 0.02, trial.Outcome.PROMOTE, (), 0.1) for kind in ("twin", *kinds)]
    assert {figure.name for figure in trial.figures(trials)} == documented("`dupn bench gate`")


def test_figures_of_a_night_are_as_documented():
    asked = synthetic.questions(users=40)
    answered, config = synthetic.predictions(*asked), EvaluateConfig(replicates=20)
    found = [
        *watch.progressive(answered, config, ""),
        *watch.staleness({1: answered, 7: answered}, config),
        *watch.forgetting(1, answered, answered, config, ""),
    ]
    assert {figure.name for figure in found} <= documented("Night (`dupn watch`)")


def test_figures_of_the_drift_study_are_as_documented():
    scores = [
        drift.Score(arm=arm, day=day, measure=measure, value=0.6, age=1)
        for arm, day in product(drift.Arm, (11, 25))
        for measure in drift.MEASURES
    ]
    costs = [drift.Cost(arm=arm, day=15, moments=1, wall_s=1, cpu_s=1) for arm in drift.Arm]
    cell = drift.Cell(seed=1, settings="", scores=tuple(scores), costs=tuple(costs))
    found = {figure.name for figure in [*drift.headline([cell]), *drift.daily([cell])]}
    assert found == documented("`dupn study drift`")


def fits_of(models, tasks):
    """A cell of each model and group of tasks, in one world."""
    for model, asked in product(models, tasks):
        scores = tuple(Score(measure=MEASURES_OF[task], value=0.6) for task in asked)
        yield contest.FitCell(
            settings="", model=model, tasks=asked, seed=1, trial=0, scores=scores, curve=(),
            parameters=1, seconds=1.0,
        )  # fmt: skip


def test_figures_of_table_2_are_as_documented():
    alone = [(task,) for task in contest.TASKS]
    everybody = tuple(Score(measure=MEASURES_OF[task], value=0.9) for task in contest.TASKS)
    others = dict.fromkeys(["ceiling", "visible_ceiling", *KINDS], everybody)
    world = contest.WorldCell(settings="", seed=1, moments=1, behaviours=1.0, others=others)
    table = contest.Table([world], list(fits_of(PEERS, alone)), tuple(PEERS))
    found = {figure.name for figure in contest.figures(table)}
    known = documented("`dupn study table2`")
    assert found <= known
    compared = {name for name in known - found if "_over_" in name}
    assert known - found == compared, "only neighbours, and the full network, are compared"


def test_figures_of_letter_are_those_of_table2_and_of_the_network_to_the_letter():
    fits = fits_of(letter.MODELS, [(task,) for task in contest.TASKS])
    world = contest.WorldCell(settings="", seed=1, moments=1, behaviours=1.0, others={})
    table = contest.Table([world], list(fits), letter.MODELS)
    found = {figure.name for figure in contest.figures(table)}
    own, shared = documented("`dupn study letter`"), documented("`dupn study table2`")
    assert found - own <= shared
    assert {one for one in own if "headroom" not in one} <= found


def test_figures_of_multitask_are_as_documented():
    alone = [(task,) for task in contest.TASKS]
    fits = list(fits_of(["all"], [*alone, contest.TASKS]))
    found = {figure.name for figure in multitask_report.figures(multitask_report.Learnt(fits))}
    assert found == documented("`dupn study multitask`")


def test_figures_of_transfer_are_as_documented():
    score = Score(measure=transfer.MEASURE, value=0.6)
    curve = (contest.Step(moments=1, loss=1.0, figures={transfer.MEASURE: 0.6}),)
    learnt = tuple(
        transfer.WayCell(
            settings="", seed=1, way=way, trial=0, score=score, curve=curve, seconds=1.0
        )
        for way in transfer.Way
    )
    known_cell = transfer.KnownCell(settings="", seed=1, score=score)
    world = transfer.Transferred(known_cell, learnt)
    found = {figure.name for figure in transfer.figures([world])}
    known = documented("`dupn study transfer`")
    assert found <= known
    assert all("_over_" in name for name in known - found)


def test_figures_of_the_a_a_study_are_as_documented():
    world = AAWorld(users=3000, days=3)
    effects = (0.01, 0.02, 0.03, 0.04, 0.05)
    tiny = {"experiments": 3, "pilots": 2, "power_experiments": 1, "power_users": 3000}
    shape = aa_study.Shape(world=world, effects=effects, **tiny)
    found = {figure.name for figure in aa_study.run(shape, workers=1)}
    assert found == documented("`dupn abtest aa`")


def test_figures_of_an_experiment_are_as_documented():
    given = set()
    for primary in METRICS:
        trial = test_summary.decided_by(primary, "sales")
        _, found = test_summary.made(days=2, users=400, trial=trial)
        given |= {figure.name for figure in found.figures}
    assert given == documented("`dupn abtest report`")


def test_figures_of_a_plan_are_as_documented():
    found = planning.plan(power.steady(1, 1, 100, 9), power.Wanted(effect=0.1, days=9))
    assert {figure["name"] for figure in found["figures"]} == documented("`dupn abtest plan`")


@pytest.mark.drill
@pytest.mark.parametrize("name", ["samples", "nights", "train", "readout"])
def test_figures_of_the_long_benches_are_as_documented(name):
    from pipeline.bench.benching import BENCHES

    assert {figure["name"] for figure in BENCHES[name](True)} == documented(f"`dupn bench {name}`")
