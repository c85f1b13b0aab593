"""An experiment on paper: JSON first, then pictures and one self-contained HTML page of it."""

import base64
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluation.abtest import report_plots
from evaluation.abtest.effect import Effect
from evaluation.abtest.readout import ReadOut
from evaluation.abtest.summary import AbtestReport
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
    environment = Environment(
        loader=PackageLoader("evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("abtest.html.j2").render(
        report=report,
        look=report.look,
        effects=_unique(report.look),
        pictures={name: base64.b64encode(data).decode() for name, data in pictures.items()},
    )


def _unique(look: ReadOut) -> list[Effect]:
    """Every metric once, the primary first."""
    return list(
        {one.metric: one for one in (look.primary, *look.guardrails, *look.effects)}.values()
    )
