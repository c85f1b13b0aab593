"""An experiment on paper: JSON first, then pictures and one self-contained HTML page of it."""

from collections.abc import Mapping

from evaluation.abtest import report_plots
from evaluation.abtest.effect import Effect
from evaluation.abtest.readout import ReadOut
from evaluation.abtest.summary import AbtestReport
from evaluation.rendering import inside, template
from infra.store import Store


def write(store: Store, folder: str, report: AbtestReport) -> str:
    """Put JSON, pictures and page into a folder of the store; the page's address."""
    pictures = dict(report_plots.drawings(report))
    store.put(f"{folder}/report.json", report.model_dump_json(indent=1))
    for name, picture in pictures.items():
        store.put(f"{folder}/{name}.png", picture)
    return store.put(f"{folder}/report.html", html(report, pictures))


def html(report: AbtestReport, pictures: Mapping[str, bytes]) -> str:
    """One page that needs no other file."""
    return template("abtest").render(
        report=report,
        look=report.look,
        effects=_unique(report.look),
        totals=_at_one_alpha(report.look),
        guarded={one.metric for one in report.look.guardrails} - {report.look.primary.metric},
        pictures=inside(pictures),
    )


def _unique(look: ReadOut) -> list[Effect]:
    """Every metric once, the primary first; a guardrail as the verdict judges it, at its alpha."""
    others = {one.metric: one for one in (*look.effects, *look.guardrails)}
    others.pop(look.primary.metric, None)
    return [look.primary, *others.values()]


def _at_one_alpha(look: ReadOut) -> list[Effect]:
    """Every metric once, at the primary's alpha where it has such an interval (Table 3)."""
    every = (*look.guardrails, *look.effects, look.primary)
    return list({one.metric: one for one in every}.values())
