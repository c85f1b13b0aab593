"""The report of a study: JSON first, its pictures, and one page that needs no other file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluation.bootstrap import Interval
from evaluation.metrics import NAN
from evaluation.rendering import inside, template
from evaluation.results import Figure
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
    """What was done on which data, by name."""
    figures: Sequence[Figure]
    said: Sequence[str] = ()
    """Goals, reached or not, as sentences."""
    grids: Sequence[Grid] = ()
    pictures: Mapping[str, Picture] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """More for the JSON."""


def publish(store: Store, page: Page) -> Mapping[str, Any]:
    """Put the report under `reports/study/<study>/`; what the command says."""
    folder = f"reports/study/{page.study}"
    figures = [figure.model_dump() for figure in page.figures]
    content = {
        "study": page.study,
        "protocol": dict(page.protocol),
        "said": list(page.said),
        **page.facts,
        "figures": figures,
    }
    store.put(f"{folder}/report.json", json.dumps(content, indent=1))
    for name, picture in page.pictures.items():
        store.put(f"{folder}/{name}.png", picture.png)
    address = store.put(f"{folder}/report.html", html(page))
    return {"study": page.study, "report": address, "said": list(page.said), "figures": figures}


def html(page: Page) -> str:
    """The page, pictures inside."""
    images = inside({name: one.png for name, one in page.pictures.items()})
    return template("study").render(page=page, images=images)


def shown(interval: Interval, digits: int = 4, *, sign: bool = False) -> str:
    """A value with its interval, as a cell of a table."""
    if interval.value != interval.value:
        return "-"
    form = f"{'+' if sign else ''}.{digits}f"
    value = format(interval.value, form)
    known = interval.low == interval.low and interval.low is not NAN
    return f"{value} ({interval.low:{form}} to {interval.high:{form}})" if known else value
