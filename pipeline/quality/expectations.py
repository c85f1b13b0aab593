"""Great Expectations as the judge of a day's figures, and what it shows of its verdicts.

On a local store it keeps a project under `reports/quality/gx`: a suite a group, a result a
judgement, and Data Docs. A judgement costs what its own expectations cost and, for the first page
of Data Docs, `INDEXED` results; results grow with the judged days. Its files are written in place:
whoever is killed there, or has no room, may leave one that nobody can read any more.
"""

import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infra.files import alone
from infra.store import Store
from pipeline.quality import quality_page

logger = logging.getLogger(__name__)

INDEXED = 90
"""Newest results that the first page of Data Docs names (a month of nights): each is read for it
by every judgement. The pages of older ones stay, and `reports/quality/index.html` is ours."""
ASIDE = "gx-spoilt"
"""Where a project is moved that Great Expectations could not read, beside it."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One line of a suite: a figure, its bounds, and whether to stop when it is outside."""

    figure: str
    low: float | None = None
    high: float | None = None
    critical: bool = True
    setting: str = ""
    """The one under [quality] that holds the bounds, if one does."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An expectation that did not hold."""

    figure: str
    value: float | None
    low: float | None
    high: float | None
    critical: bool
    setting: str
    sentence: str


def judge(
    store: Store, name: str, of: str, figures: Mapping[str, float], expected: Sequence[Expected]
) -> list[Failure]:
    """Run the suite in Great Expectations and update the Data Docs; the failures come back.

    On a local store one process does so at a time: the project there, its suites among it, is
    shared by all days, and Great Expectations refuses a suite that another process has changed.
    One that it cannot work with any more is moved aside, with a warning: no verdict hangs on it.
    """
    for chatty in ("great_expectations", "great_expectations.expectations.registry"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    import great_expectations as gx

    if not store.is_local:
        return _judge(gx.get_context(mode="ephemeral"), [], name, of, figures, expected)
    from great_expectations.checkpoint import UpdateDataDocsAction

    root = Path(store.address("reports/quality"))

    def ask() -> list[Failure]:
        context = gx.get_context(mode="file", project_root_dir=str(root))
        docs = [UpdateDataDocsAction(name="docs")]
        return _judge(context, docs, name, of, figures, expected)

    with alone(root / "judging"):
        try:
            return ask()
        except (OSError, MemoryError):  # of the system, not of what is in the files
            raise
        except Exception as error:  # Great Expectations has no one word for a file it cannot read
            if not (root / "gx").exists():
                raise
            return _anew(root / "gx", ask, error)


def _anew(project: Path, ask: Callable[[], list[Failure]], error: Exception) -> list[Failure]:
    """What it says in a new project; one that was not to blame for the error is put back."""
    aside = next(one for one in _asides(project) if not one.exists())
    project.rename(aside)
    try:
        failures, whole = ask(), _is_whole(aside, project)
    except BaseException:
        _put_back(aside, project)
        raise
    if whole:  # then what somebody has set there cannot be followed
        _put_back(aside, project)
        raise error
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    logger.warning(
        "Great Expectations could not work with %s (%s), perhaps since a disk was full or a task "
        "was killed while it wrote there. It is moved to %s, and a new one is begun: suites and "
        "Data Docs of before are there, and you may remove it. No verdict is touched.",
        *(project, said, aside),
    )
    return failures


def _put_back(aside: Path, project: Path) -> None:
    shutil.rmtree(project, ignore_errors=True)
    aside.rename(project)


def _is_whole(project: Path, new: Path) -> bool:
    """Whether no file that it writes in place is empty, or ends in the middle."""
    try:
        if not _settings(project).keys() >= _settings(new).keys():
            return False
        return all(json.loads(file.read_bytes()) for file in project.rglob("*.json"))
    except (YAMLError, AttributeError, ValueError):
        return False


def _settings(project: Path) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = YAML(typ="safe").load(project / "great_expectations.yml")
    return settings


def _asides(project: Path) -> Iterator[Path]:
    yield project.with_name(ASIDE)
    for number in count(2):
        yield project.with_name(f"{ASIDE}-{number}")


def _judge(
    context: Any,
    actions: Sequence[Any],
    name: str,
    of: str,
    figures: Mapping[str, float],
    expected: Sequence[Expected],
) -> list[Failure]:
    import great_expectations as gx
    import pandas as pd
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    _index_the_newest(context)
    source = context.data_sources.add_or_update_pandas(name="dupn")
    asset = source.add_dataframe_asset(name=f"metrics_{of}")
    batch = asset.add_batch_definition_whole_dataframe("day")
    made = gx.ExpectationSuite(name=of, expectations=[_expectation(one) for one in expected])
    definition = gx.ValidationDefinition(name=name, data=batch, suite=made)
    checkpoint = context.checkpoints.add_or_update(
        gx.Checkpoint(name=name, validation_definitions=[definition], actions=list(actions))
    )
    wide = {one.figure: [figures.get(one.figure, 0.0)] for one in expected}
    frame = pd.DataFrame(wide, dtype="float64")
    outcome = checkpoint.run({"dataframe": frame}, run_id=RunIdentifier(run_name=name))
    failed = []
    for result in outcome.run_results.values():
        for one, expectation in zip(expected, _in_order(result, expected), strict=True):
            if not expectation.success:
                failed.append(_failure(name, one, figures.get(one.figure)))
    return failed


def _index_the_newest(context: Any) -> None:
    """Once a project, and if nobody has chosen otherwise there."""
    for name, site in (context.variables.data_docs_sites or {}).items():
        limited = {"validation_results_limit": INDEXED, **site.get("site_index_builder", {})}
        if limited != site.get("site_index_builder"):
            context.update_data_docs_site(name, {**site, "site_index_builder": limited})


def _in_order(result: Any, expected: Sequence[Expected]) -> list[Any]:
    by_key = {
        (r.expectation_config.kwargs["column"], r.expectation_config.meta["number"]): r
        for r in result.results
    }
    return [by_key[one.figure, _number(one)] for one in expected]


def _expectation(one: Expected) -> Any:
    """Of the one row's figure itself: Data Docs show it, and of the severity only what we say.

    An expectation of every value of the column would ask the same at twice the price.
    """
    import great_expectations.expectations as gxe

    severity = "critical" if one.critical else "warning"
    return gxe.ExpectColumnMaxToBeBetween(
        column=one.figure,
        min_value=one.low,
        max_value=one.high,
        severity=severity,
        description=f"{severity}: {quality_page.limits(one.low, one.high)}",
        meta={"number": _number(one)},
    )


def _number(one: Expected) -> str:
    return f"{one.low}..{one.high}"


def _failure(name: str, one: Expected, value: float | None) -> Failure:
    table, _, rest = one.figure.partition(".")
    column, _, metric = rest.rpartition(".")
    what = f"{table}.{column}" if column else table
    seen = "missing" if value is None else f"{value:.6g}"
    if value is not None and math.isnan(value):
        seen, limit = "no number", "so nothing is known of it"
    elif one.high is not None and (value is None or value > one.high):
        limit = f"over the limit {one.high:.6g}"
    else:
        limit = f"under the limit {one.low:.6g}" if one.low is not None else "not as expected"
    of, _, day = name.partition("_")
    word = "failed" if one.critical else "warning"
    metric = metric.replace("_", " ")
    sentence = f"Quality of {of} {day} {word}: {what} has {metric} {seen}, {limit}."
    return Failure(
        figure=one.figure,
        value=value,
        low=one.low,
        high=one.high,
        critical=one.critical,
        setting=one.setting,
        sentence=sentence,
    )
