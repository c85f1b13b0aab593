"""The attention study on paper: Figures 8 and 9 of this marketplace, and what can be read off."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle

from evaluation.metrics import Floats
from evaluation.plots import INK, LOOKS, MODEL, OTHER, SECOND, TRUTH, new_figure, png, tidy
from evaluation.rendering import inside, template
from evaluation.results import Figure
from evaluation.studies import attention_worlds, page, protocol
from evaluation.studies.attention import Example, Reading, Seen, Verdict, readings, together
from evaluation.studies.attention_map import BUCKETS, FEWEST, FEWEST_USERS, TYPES
from evaluation.studies.page import Grid, Page, Picture, told
from evaluation.studies.protocol import Plan
from infra.store import Store

MARKS = (
    ("A", LOOKS[4].colour, "white"),
    ("B", SECOND, INK),
    ("C", TRUTH, "white"),
    ("D", LOOKS[3].colour, INK),
)
"""Of the categories of Figure 8: letter, colour, and the letter's own upon it. Blue is the
weight's."""
MATCHES = {
    "": ("attention", MODEL),
    "_shuffled": ("attention, another user's query", OTHER),
    "_uniform": ("uniform: the most frequent", OTHER),
    "_recency": ("the last behaviour's", OTHER),
    "_top_behaviour": ("the one heaviest behaviour's", MODEL),
    "_top_behaviour_shuffled": ("the same, another user's query", OTHER),
}
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10)
"""Ticks of multiples of uniform."""
TILES = {
    "attention_match": "the category looked at most is the query's",
    "attention_match_shuffled": "the same with another user's query",
    "attention_match_over_shuffled": "what the query is good for",
}
CAVEATS = (
    "A weight falls on the LSTM's state after a behaviour, which knows what came before it too: "
    "it is not the worth of that one item.",
    "The map averages over histories as they are. Types differ in age, so the contrasts of types "
    "are told a second time with ages made equal.",
    "A query is known by the category of most clicks after the very same words. One that names a "
    "department alone has several right ones, and is known by the commonest.",
    "The log's own map says how often a behaviour of that type and age lies in a category that is "
    "clicked now. It knows the category alone, neither brand nor price.",
    "The history of Figure 8 is chosen by rule, the most even spread over four categories; the "
    "paper draws a customer at random.",
)


def write(
    store: Store, name: str, worlds: Sequence[Seen], notes: Sequence[str], plan: Plan
) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where to.
        name: of the study.
        worlds: one a seed.
        notes: what has to be said beside the figures, by whoever has looked at them.
        plan: days.
    """
    figures = together(worlds)
    known = {figure.name: figure for figure in figures}
    read = readings(known)
    said = Page(
        study=name,
        title="Figures 8 and 9: what attention looks at",
        lead=summary(known, read),
        protocol=_protocol(worlds, notes, plan),
        figures=figures,
        said=[sentence(one, known) for one in read],
        grids=[
            _readings(read, known),
            _matches(known),
            attention_worlds.examples(worlds),
            _map(known, _counts(worlds)),
            attention_worlds.ranges(worlds),
            attention_worlds.oldest(worlds),
        ],
        pictures={title: Picture(title, png) for title, png in drawings(worlds, known)},
        facts={
            "seeds": [world.seed for world in worlds],
            "summary": summary(known, read),
            "readings": [{**one.model_dump(), "said": sentence(one, known)} for one in read],
            "notes": [*notes, *CAVEATS],
            "judged": [world.judged for world in worlds],
            "behaviours": _counts(worlds).astype(int).tolist(),
        },
    )
    found = page.publish(store, said, _html(said, worlds, read, notes))
    few = [figure for figure in found["figures"] if "_heat_" not in figure["name"]]
    return {**found, "seeds": len(worlds), "figures": few}


def _protocol(worlds: Sequence[Seen], notes: Sequence[str], plan: Plan) -> Mapping[str, str]:
    moments, matched = sum(one.moments for one in worlds), sum(one.matched for one in worlds)
    return {
        "Data": f"{plan.data([world.seed for world in worlds])}; {moments:,} moments "
        f"with a query and a history, of which {matched:,} hold the query's category and another",
        "Network": f"DUPN-all, joint, as in Figure 6: {plan.network}",
        "Questions": f"{plan.days}; all users. Negatives: none, weights are looked at and nothing "
        "is ranked; the log's own map counts clicks among all behaviours",
        "Intervals": protocol.over_worlds(len(worlds)),
        "Settings": protocol.settings(worlds=worlds),
        "To be kept in mind": " ".join([*notes, *CAVEATS]),
    }


def _readings(read: Sequence[Reading], known: Mapping[str, Figure]) -> Grid:
    rows = [
        [one.claim, one.verdict, one.same_time or "-", one.log,
         "; ".join(told(known[name], 3, sign=True) for name in one.figures)]
        for one in read
    ]  # fmt: skip
    head = ["the paper's map", "here", "ages made equal", "in the log", "contrasts, x uniform"]
    note = "Yes: every contrast's 95 % interval is above zero. No: one is below."
    return Grid("What the paper reads off its map", head, rows, note)


def _matches(known: Mapping[str, Figure]) -> Grid:
    rows = [[title, told(known[f"attention_match{end}"], 3)] for end, (title, _) in MATCHES.items()]
    head = ["what is looked at most by", "share of moments at which it is the query's category"]
    return Grid("Does it look at what was asked for?", head, rows)


def _map(known: Mapping[str, Figure], counts: Floats) -> Grid:
    grid = _grid(known, "attention")
    rows = [
        [kind.name.lower(), *("-" if np.isnan(value) else f"{value:.2f} ({_short(many)})"
                              for value, many in zip(grid[row], counts[row], strict=True))]
        for row, kind in enumerate(TYPES)
    ]  # fmt: skip
    head = ["", *(bucket.title for bucket in BUCKETS)]
    note = "Mean attention in multiples of uniform, and the number of behaviours; -: too few."
    return Grid("Figure 9: type and age", head, rows, note)


def sentence(read: Reading, known: Mapping[str, Figure]) -> str:
    """A reading with its figures: 'Recent clicks ...: yes (...)'."""
    parts = [f"{name.removeprefix('attention_')} {_told(known[name])}" for name in read.figures]
    equal = "" if read.same_time is None else f" With ages made equal: {read.same_time}."
    return f"{read.claim}: {read.verdict} ({'; '.join(parts)}).{equal} In the log: {read.log}."


def summary(known: Mapping[str, Figure], read: Sequence[Reading]) -> str:
    """What the figures say, in words that follow from them alone."""
    held = [one.claim for one in read if one.verdict is Verdict.YES]
    against = [one.claim for one in read if one.verdict is Verdict.NO]
    decided = [one for one in read if Verdict.UNDECIDED not in (one.verdict, one.log)]
    as_log = [one for one in decided if one.verdict is one.log]
    over = known["attention_match_over_shuffled"]
    return (
        f"Of {len(read)} sentences that the paper reads off its map, {len(held)} hold here, "
        f"{len(against)} are contradicted and {len(read) - len(held) - len(against)} are "
        f"undecided; of the {len(decided)} that both decide, attention and the log agree in "
        f"{len(as_log)}. The category that is looked at "
        f"most is the query's in {_told(known['attention_match'])} of the moments; the query "
        f"itself is good for {_told(over)} of that."
    )


def drawings(worlds: Sequence[Seen], known: Mapping[str, Figure]) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of every picture."""
    example = next((world.example for world in worlds if world.example is not None), None)
    if example is not None:
        yield "figure_8", _figure_8(example)
    counts = _counts(worlds)
    yield "figure_9", _figure_9(_grid(known, "attention"), counts, "attention, uniform = 1")
    yield "log", _figure_9(_grid(known, "attention_log"), None, "share in a category clicked now")
    yield "match", _match(known)


def _figure_8(example: Example) -> bytes:
    """Rows are queries, columns behaviours; a frame marks the query's own category.

    Categories have letters, for who cannot tell their colours apart.
    """
    table, place = np.array(example.weights), np.array(example.place)
    rows, width = table.shape
    figure, (ax,) = new_figure(10.4, 0.46 * rows + 1.9, 1)
    image = ax.imshow(table * width, cmap="Blues", vmin=0, aspect="auto",
                      extent=(-0.5, width - 0.5, rows - 0.5, -0.5))  # fmt: skip
    for row in range(rows):
        for column in np.flatnonzero(place == row).tolist():
            _frame(ax, column, row, MARKS[row][1], fill=False)
    for column, which in enumerate(example.place):
        letter, colour, ink = ("", OTHER, INK) if which < 0 else MARKS[which]
        _frame(ax, column, rows + 0.25, colour, fill=True)
        ax.text(column, rows + 0.25, letter, ha="center", va="center_baseline", fontsize=8.5,
                fontweight="bold", color=ink)  # fmt: skip
    ax.set_ylim(rows + 0.85, -0.6)
    ax.set_xlim(-0.6, width - 0.4)
    asked = [f"{mark[0]}  {words}" for mark, words in zip(MARKS, example.queries, strict=False)]
    ax.set_yticks([*range(rows), rows + 0.25], [*asked, "categories"], fontsize=9)
    ax.set_xticks([0, width - 1], ["oldest", "newest"], fontsize=8.5)
    _bare(ax)
    for tick in ax.get_yticklabels():
        tick.set_fontweight("bold")
    bar = figure.colorbar(image, ax=ax, pad=0.01, fraction=0.03)
    bar.set_label("uniform = 1", fontsize=8.5)
    _small(bar.ax)
    pairs = zip(MARKS, example.categories, strict=False)
    handles = [
        Rectangle((0, 0), 1, 1, color=colour, label=f"{letter}  {name}")
        for (letter, colour, _), name in pairs
    ]
    handles.append(Rectangle((0, 0), 1, 1, color=OTHER, label="another"))
    ax.legend(handles=handles, frameon=False, fontsize=8.5, ncols=len(handles),
              loc="upper center", bbox_to_anchor=(0.5, -0.09))  # fmt: skip
    return png(figure)


def _frame(ax: Axes, column: float, row: float, colour: str, *, fill: bool) -> None:
    high = 0.5 if fill else 0.9
    corner = (column - 0.45, row - high / 2)
    face = colour if fill else "none"
    ax.add_patch(Rectangle(corner, 0.9, high, facecolor=face, edgecolor=colour, linewidth=1.0))


def _figure_9(grid: Floats, counts: Floats | None, title: str) -> bytes:
    """Types by ages; hatched where too few."""
    figure, (ax,) = new_figure(10.4, 3.4, 1)
    # multiples of uniform differ by factors, shares by what one is more than another
    known = grid[np.isfinite(grid)]
    ends = (known.min(initial=1), known.max(initial=1))
    factors = counts is not None and ends[0] > 0
    norm = LogNorm(*ends) if factors else Normalize(known.min(initial=0), known.max(initial=1e-9))
    image = ax.imshow(np.ma.masked_invalid(grid), cmap="Blues", norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(grid):
        if not np.isfinite(value):
            corner = (column - 0.5, row - 0.5)
            blank = Rectangle(corner, 1, 1, facecolor="white", edgecolor=OTHER, hatch="///", lw=0)
            ax.add_patch(blank)
            continue
        told = f"{value:.2f}"
        if counts is not None:
            told += f"\n{_short(float(counts[row, column]))}"
        ax.text(column, row, told, ha="center", va="center", fontsize=8,
                color="white" if norm(value) > 0.55 else INK)  # fmt: skip
    ax.set_xticks(range(len(BUCKETS)), [bucket.title for bucket in BUCKETS], fontsize=8.5)
    ax.set_yticks(range(len(TYPES)), [kind.name.lower() for kind in TYPES], fontsize=9)
    ax.set_xlabel("before the moment", fontsize=8.5)
    _bare(ax)
    bar = figure.colorbar(image, ax=ax, pad=0.01, fraction=0.03, format="%.2g")
    if factors:
        bar.set_ticks([tick for tick in STEPS if ends[0] <= tick <= ends[1]])
        bar.ax.minorticks_off()
    bar.set_label(title, fontsize=8.5)
    _small(bar.ax)
    return png(figure)


def _match(known: Mapping[str, Figure]) -> bytes:
    """How often what is looked at most is what was asked for."""
    figure, (ax,) = new_figure(9.6, 2.5, 1)
    for row, (name, (_, colour)) in enumerate(MATCHES.items()):
        found = known[f"attention_match{name}"]
        if found.value is None:
            continue
        ax.barh(row, found.value, color=colour, height=0.62)
        if found.low is not None and found.high is not None:
            ax.plot([found.low, found.high], [row, row], color=INK, linewidth=1.3)
        end = max(found.value, found.high or 0)
        ax.annotate(f"{found.value:.3f}", (end, row), (5, 0), textcoords="offset points",
                    va="center", fontsize=8.5, color=INK)  # fmt: skip
    ax.set_yticks(range(len(MATCHES)), [title for title, _ in MATCHES.values()])
    ax.invert_yaxis()
    ax.set_xlabel("share of moments at which this is the query's category")
    ax.margins(x=0.12)
    tidy(ax, "x")
    return png(figure)


def _bare(ax: Axes) -> None:
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.tick_params(length=0, colors=INK)


def _small(ax: Axes) -> None:
    ax.tick_params(length=0, labelsize=8, colors=INK)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _grid(known: Mapping[str, Figure], prefix: str) -> Floats:
    """Means of the map; NaN where there are too few."""
    names = [[f"{prefix}_heat_{t.name.lower()}_{b.key}" for b in BUCKETS] for t in TYPES]
    return np.array([[_or_nan(known[name].value) for name in row] for row in names])


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _counts(worlds: Sequence[Seen]) -> Floats:
    return np.sum([np.array(world.behaviours, np.float64) for world in worlds], axis=0)


def _short(count: float) -> str:
    return f"{count / 1000:.0f}k" if count >= 10_000 else f"{count:.0f}"


def _told(figure: Figure) -> str:
    if figure.value is None:
        return "not known"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.3f} to {figure.high:.3f}]"


def _html(said: Page, worlds: Sequence[Seen], read: Sequence[Reading], notes: Sequence[str]) -> str:
    """One page that needs no other file."""
    figures = protocol.traced(said.figures, said.protocol)
    known = {figure.name: figure for figure in figures}
    return template("attention").render(
        worlds=worlds,
        judged=float(np.mean([world.judged.get("ctr_auc", np.nan) for world in worlds])),
        tiles=[(title, known[name]) for name, title in TILES.items()],
        held=sum(one.verdict is Verdict.YES for one in read),
        summary=said.lead,
        readings=[(one, [known[name] for name in one.figures]) for one in read],
        notes=notes,
        caveats=CAVEATS,
        fewest=(FEWEST, FEWEST_USERS),
        example=next((world.example for world in worlds if world.example is not None), None),
        figures=figures,
        pictures=inside({name: one.png for name, one in said.pictures.items()}),
        protocol=said.protocol,
        by_world=attention_worlds.grids(worlds),
    )
