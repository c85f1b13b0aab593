"""The report of a study: JSON first, its pictures, one page that needs no other file, and Markdown.

The Markdown is what can be read without a browser: all but the names of figures, and of pictures
their words with a link to the file beside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.bootstrap import Interval
from evaluation.metrics import NAN
from evaluation.rendering import inside, template
from evaluation.results import Figure
from evaluation.studies.protocol import NEEDED, traced
from infra.store import Store


@dataclass(frozen=True)
class Grid:
    """A table as people read it."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A PNG with its words."""

    title: str
    png: bytes
    note: str = ""


@dataclass(frozen=True)
class Page:
    """Everything that a study says."""

    study: str
    """Its folder under `reports/study`."""
    title: str
    lead: str
    protocol: Mapping[str, str]
    """What was done on which data, by name; `NEEDED` are there."""
    figures: Sequence[Figure]
    said: Sequence[str] = ()
    """Goals, reached or not, as sentences."""
    grids: Sequence[Grid] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """More for the JSON."""


def publish(store: Store, page: Page, rendered: str | None = None) -> Mapping[str, Any]:
    """Put the report under `reports/study/<study>/`; what the command says.

    Args:
        store: where it goes.
        page: what is said.
        rendered: the page as HTML, of a study that has a template of its own.
    """
    missing = set(NEEDED) - set(page.protocol)
    assert not missing, f"{page.study} does not say its {missing}"
    folder = f"reports/study/{page.study}"
    figures = [figure.model_dump() for figure in traced(page.figures, page.protocol)]
    content = {
        "study": page.study,
        "protocol": dict(page.protocol),
        "said": list(page.said),
        **page.facts,
        "figures": figures,
    }
    store.put(f"{folder}/report.json", json.dumps(content, indent=1))
    store.put(f"{folder}/report.md", markdown(page))
    for name, picture in page.pictures.items():
        store.put(f"{folder}/{name}.png", picture.png)
    address = store.put(f"{folder}/report.html", rendered or html(page))
    return {
        "study": page.study,
        "report": address,
        "protocol": content["protocol"],
        "said": list(page.said),
        "figures": figures,
    }


def html(page: Page) -> str:
    """The page, pictures inside."""
    images = inside({name: one.png for name, one in page.pictures.items()})
    figures = traced(page.figures, page.protocol)
    return template("study").render(page=page, figures=figures, images=images)


def markdown(page: Page) -> str:
    """Title, lead, protocol, what is said, the pictures beside it, and the grids."""
    protocol = [f"- **{name}.** {_literal(words)}" for name, words in page.protocol.items()]
    parts = [f"# {page.title}", page.lead, "## Protocol", "\n".join(protocol)]
    if page.said:
        parts += ["## What it shows", "\n".join(f"- {_literal(one)}" for one in page.said)]
    if page.pictures:
        parts += ["## Pictures", "\n".join(_linked(*each) for each in page.pictures.items())]
    for grid in page.grids:
        parts += [f"## {grid.title}", *([_literal(grid.note)] if grid.note else []), _table(grid)]
    return "\n\n".join(parts) + "\n"


def _linked(name: str, picture: Picture) -> str:
    note = f". {_literal(picture.note)}" if picture.note else ""
    return f"- [{_literal(picture.title)}]({name}.png){note}"


def _table(grid: Grid) -> str:
    cells = [[_literal(cell) for cell in row] for row in (grid.head, *grid.rows)]
    cells.insert(1, ["---"] * len(grid.head))
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _literal(text: str) -> str:
    """Text that Markdown leaves as it is (`study.*`)."""
    return text.replace("*", r"\*").replace("|", r"\|")


def told(figure: Figure, digits: int = 4, *, sign: bool = False) -> str:
    """A figure with its interval, as a cell of a table."""
    ends = [NAN if end is None else end for end in (figure.value, figure.low, figure.high)]
    return shown(Interval(*ends), digits, sign=sign)


def shown(interval: Interval, digits: int = 4, *, sign: bool = False) -> str:
    """A value with its interval, as a cell of a table."""
    if interval.value != interval.value:
        return "-"
    form = f"{'+' if sign else ''}.{digits}f"
    value = format(interval.value, form)
    known = interval.low == interval.low and interval.low is not NAN
    return f"{value} ({interval.low:{form}} to {interval.high:{form}})" if known else value
