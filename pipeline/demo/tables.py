"""The demo's last tables: training, nights and the experiment, as a person would tell them."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from rich.markup import escape
from rich.table import Table

from evaluation import filed
from evaluation.nights import figures_key
from evaluation.watch import PROGRESSIVE
from infra import run_key
from pipeline.abtest import verdicts
from pipeline.release import verdicts as gates
from pipeline.settings import Settings

STOPPED = "stopped by quality"
SAID = {"promote": "promoted", "keep the champion": "champion kept"}


def nights(
    settings: Settings, last: date, days: Sequence[date], stopped: Mapping[date, str]
) -> Table:
    """A row for the initial training and one for each night.

    Args:
        settings: whose store and line.
        last: the initial training's last day.
        days: data days of the nights.
        stopped: what stopped a night, by its day.
    """
    table = Table(title="Initial training and nights", title_justify="left")
    table.add_column("run")
    table.add_column("outcome")
    table.add_column("champion on the day, before it learns it (CTR AUC)")
    table.add_column("candidate minus champion (CTR AUC)")
    table.add_column("why", overflow="fold")
    first = _verdict(settings, last)
    table.add_row(f"initial, to {last}", _outcome(first), "-", "-", escape(_why(first)))
    for day in days:
        verdict = _verdict(settings, day)
        reason = stopped.get(day, "")
        table.add_row(
            f"night of {day}",
            STOPPED if reason else _outcome(verdict),
            _progressive(settings, day),
            _difference(settings, day),
            escape(reason.partition(" See ")[0] or _why(verdict)),
        )
    return table


def experiment(settings: Settings, name: str, title: str, days: Sequence[date]) -> Table:
    """A row for each day of an experiment: its figures up to then, the verdict and why.

    Args:
        settings: whose store.
        name: id of the experiment.
        title: of the table.
        days: that were looked at.
    """
    table = Table(title=title, title_justify="left")
    for column in ("day", "CTR, always-valid", "sales, always-valid", "verdict"):
        table.add_column(column)
    table.add_column("why", overflow="fold")
    for day in days:
        told = _json(settings, verdicts.key(settings.store, name, day, "verdict"))
        known = {figure["name"]: figure for figure in told.get("figures", ())}
        gains = [_gain(known.get(f"abtest_{metric}_uplift")) for metric in ("ctr", "sales")]
        why = " ".join(told.get("reasons", ())) or "-"
        table.add_row(str(day), *gains, str(told.get("outcome", "not judged")), escape(why))
    return table


def _gain(figure: Mapping[str, Any] | None) -> str:
    """`-20.1% (-25.0% to -15.2%)`."""
    if not figure or figure.get("value") is None:
        return "-"
    if figure.get("low") is None:
        return f"{figure['value']:+.1%}"
    return f"{figure['value']:+.1%} ({figure['low']:+.1%} to {figure['high']:+.1%})"


def _outcome(verdict: Mapping[str, Any]) -> str:
    said = str(verdict.get("outcome", "not judged"))
    return SAID.get(said, said)


def _why(verdict: Mapping[str, Any]) -> str:
    if verdict.get("failed"):
        return " ".join(verdict["failed"])
    checks = {check["name"]: check["sentence"] for check in verdict.get("checks", ())}
    asked = ("ctr non-inferiority", "floor ctr_auc", "calibration")  # what a person asks first
    known = [checks[name] for name in asked if name in checks]
    return str(known[0]) if known else "-"


def _verdict(settings: Settings, day: date) -> Mapping[str, Any]:
    return _json(settings, gates.key(run_key.of(settings.line, day)))


def _progressive(settings: Settings, day: date) -> str:
    place = figures_key(settings.store, settings.line, f"{day}")
    figures = _json(settings, place).get("figures", ())
    return _said({figure["name"]: figure for figure in figures}.get(f"{PROGRESSIVE}_ctr_auc"))


def _difference(settings: Settings, day: date) -> str:
    beside = _json(settings, filed.comparison(run_key.of(settings.line, day)))
    compared = beside.get("comparison") or {}
    return _said(compared.get("ctr"), sign="+")


def _said(figure: Mapping[str, Any] | None, sign: str = "") -> str:
    if not figure or figure.get("value") is None:
        return "-"
    text = f"{figure['value']:{sign}.3f}"
    if figure.get("low") is None:
        return text
    return f"{text} ({figure['low']:{sign}.3f} to {figure['high']:{sign}.3f})"


def _json(settings: Settings, key: str) -> dict[str, Any]:
    content = settings.store.get(key)
    return dict(json.loads(content)) if content else {}
