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
        pictures=inside(pictures),
    )


def _unique(look: ReadOut) -> list[Effect]:
    """Every metric once, the primary first."""
    return list(
        {one.metric: one for one in (look.primary, *look.guardrails, *look.effects)}.values()
    )
