"""An experiment on paper: JSON first, then pictures and one self-contained HTML page of it."""

from collections.abc import Mapping

from evaluation.abtest import report_plots
from evaluation.abtest.effect import FEWEST
from evaluation.abtest.readout import ReadOut
from evaluation.abtest.summary import AbtestReport
from evaluation.rendering import inside, template
from infra.store import Store


def write(store: Store, folder: str, report: AbtestReport) -> str:
    """Put JSON, pictures and page into a folder of the store; the page's address.

    Pictures of an earlier report there that this one has not are taken away.
    """
    pictures = dict(report_plots.drawings(report))
    store.put(f"{folder}/report.json", report.model_dump_json(indent=1))
    for name, picture in pictures.items():
        store.put(f"{folder}/{name}.png", picture)
    page = store.put(f"{folder}/report.html", html(report, pictures))
    for name in store.names(folder):
        if name.endswith(".png") and name.removesuffix(".png") not in pictures:
            store.remove(f"{folder}/{name}")
    return page


def html(report: AbtestReport, pictures: Mapping[str, bytes]) -> str:
    """One page that needs no other file."""
    return template("abtest").render(
        report=report,
        look=report.look,
        fewest=FEWEST,
        named=report_plots.named,
        compared=report_plots.compared(report),
        emptied=_emptied(report),
        unadjusted=_unadjusted(report.look),
        guarded={one.metric for one in report.look.guardrails} - {report.look.primary.metric},
        pictures=inside(pictures),
    )


def _emptied(report: AbtestReport) -> list[int]:
    """Days on which the treatment had nothing of what decides: they have no part in the trend."""
    primary = report.look.primary.metric
    return [row.number for row in report.table if row.uplifts(primary)[primary].value == -1]


def _unadjusted(look: ReadOut) -> str:
    """Why CUPED has adjusted nothing; "" where it has."""
    kept = [one.kept_variance for one in look.every if one.kept_variance is not None]
    if any(abs(one - 1) > 1e-6 for one in kept):
        return ""
    if min(look.users.values()) < FEWEST:
        return f"an arm has fewer than {FEWEST} users"
    if not kept:
        return "there is nothing to compare yet"
    if any(check.name == "pre-period" and check.passed is None for check in look.trust):
        return "there is no pre-period"
    return "the declaration says so"
