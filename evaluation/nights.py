"""The nights on paper: one JSON a night, and one self-contained page of the last of them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from evaluation import filed
from evaluation.names import HEADS
from evaluation.rendering import inside, template
from evaluation.results import Figure
from evaluation.watch import PROGRESSIVE, Night
from infra.errors import RecordCorrupt
from infra.record import reading
from infra.store import Store

logger = logging.getLogger(__name__)

PAGE = "nights.html"
TITLES = {
    "ctr_auc": "Click (CTR), AUC",
    "l2r_auc": "Ranking (L2R), AUC",
    "ppp_precision": "Price level (PPP), precision",
    "fifp_auc": "Follow an icon (FIFP), AUC",
}


@dataclass(frozen=True, kw_only=True)
class Unwatched:
    """What became of a night that was not watched."""

    words: str
    stopped: bool = False
    """By quality, and not ended: somebody has to mend it."""


@dataclass(frozen=True, kw_only=True)
class Links:
    """By day, from where the page lies; a day without one is absent."""

    judgements: Mapping[str, str] = field(default_factory=dict)
    """On the quality page."""
    reports: Mapping[str, str] = field(default_factory=dict)
    """Offline, of the night's candidate."""


def lines(store: Store) -> list[str]:
    """Lines that have had a night."""
    return store.names(filed.NIGHTLY)


def watched(store: Store, day: date) -> bool:
    """Whether the champion of any line was watched on the day."""
    return any(store.get(figures_key(store, line, day.isoformat())) for line in lines(store))


def put(store: Store, line: str, night: Night) -> str:
    """Keep a night's figures; their address comes back."""
    return store.put(figures_key(store, line, night.day), night.model_dump_json(indent=1))


def read(store: Store, line: str, until: date, count: int) -> list[Night]:
    """The newest `count` nights of a line up to a day, oldest first.

    One whose figures cannot be read is left out: they are for looking at, and no night rests on it.
    """
    days = sorted(
        name.removeprefix("dt=")
        for name in store.names(filed.nightly(line))
        if name.startswith("dt=")
    )
    found = []
    for day in [day for day in days if day <= until.isoformat()][-count:]:
        key = figures_key(store, line, day)
        content = store.get(key)
        if content is None:
            continue
        try:
            with reading(key, f"The night is left out; `dupn watch --day {day}` writes it again."):
                found.append(Night.model_validate_json(content))
        except RecordCorrupt as error:
            logger.warning("%s", error)
    return found


def figures_key(store: Store, line: str, day: str) -> str:
    """Where a night's figures lie."""
    return f"{store.partition(filed.nightly(line), date.fromisoformat(day)).key}/figures.json"


def write_page(
    store: Store,
    line: str,
    nights: Sequence[Night],
    others: Mapping[str, Unwatched],
    links: Links,
) -> str:
    """The page of these nights; its address comes back."""
    return store.put(f"{filed.nightly(line)}/{PAGE}", html(line, nights, others, links))


def html(
    line: str,
    nights: Sequence[Night],
    others: Mapping[str, Unwatched] | None = None,
    links: Links | None = None,
) -> str:
    """One page that needs no other file.

    Args:
        line: whose nights.
        nights: that were watched; at least one, oldest first.
        others: by day, those that were not watched.
        links: to other pages.
    """
    from evaluation import night_plots  # with matplotlib, which only who draws has to wait for

    pictures = dict(night_plots.drawings(nights))
    rows = {night.day: _row(night) for night in nights}
    rows |= {day: {"day": day, "otherwise": one} for day, one in (others or {}).items()}
    return template("nights").render(
        line=line,
        nights=nights,
        last=nights[-1],
        since=[rows[day] for day in sorted(rows, reverse=True) if day > nights[-1].day],
        links=links or Links(),
        tiles=_tiles(nights[-1]),
        rows=[rows[day] for day in sorted(rows, reverse=True)],
        pictures=inside(pictures),
    )


def _tiles(night: Night) -> list[tuple[str, Figure]]:
    """The champion on the newest day."""
    found = [(TITLES[name], night.figure(f"{PROGRESSIVE}_{name}")) for name in HEADS]
    return [(title, figure) for title, figure in found if figure is not None]


def _row(night: Night) -> Mapping[str, object]:
    """A night as a line of the table."""
    return {
        "day": night.day,
        "otherwise": None,
        "night": night,
        "measures": [night.figure(f"{PROGRESSIVE}_{name}") for name in HEADS],
        "moments": night.value("watch_moments"),
        "rejects": night.value("watch_rejects"),
        "seconds": night.value("watch_total_s"),
    }
