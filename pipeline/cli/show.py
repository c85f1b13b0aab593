"""Results as a person reads them: tables on stdout.

Names and values are of others too (files, settings, what logs hold): brackets in them are no markup
and colons no pictures, and what would steer the terminal is written out.
"""

import sys
from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from infra.visible import visible

FIGURE = ("name", "value", "low", "high", "unit")
"""Columns of a figure on a terminal; the report has the protocol as well."""


def result(
    title: str,
    value: Mapping[str, Any] | list[Any],
    console: Console | None = None,
    *,
    nothing: str = "nothing yet",
) -> None:
    """Print what a command returned: figures, one row a day, or name and value."""
    out = console or wide()
    if isinstance(value, list):
        if value:
            _print_records(title, value, out)
        else:
            out.print(_words(f"{title}: {nothing}"))
        return
    figures = value.get("figures")
    plain = {name: content for name, content in value.items() if name != "figures"}
    if plain and all(isinstance(content, Mapping) for content in plain.values()):
        for name, content in plain.items():
            _print_pairs(f"{title} {name}", content, out)
    elif plain:
        _print_pairs(title, plain, out)
    if figures:
        _print_records(
            "figures", [{name: one.get(name) for name in FIGURE} for one in figures], out
        )


def wide() -> Console:
    """A console that is wide enough for a table of figures where there is no terminal."""
    out = Console()
    return out if out.is_terminal else Console(width=150)


def _print_pairs(title: str, value: Mapping[str, Any], out: Console) -> None:
    table = Table(title=_words(title, "table.title"), show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, content in value.items():
        table.add_row(_words(name), Text(text(content)))
    if _fits(table, out):
        out.print(table)
    else:
        out.print(_words(title, "table.title"))
        _print_lines(value, out)


def _print_records(title: str, records: list[Any], out: Console) -> None:
    table = Table(title=_words(title, "table.title"), title_justify="left")
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = [[text(record.get(name)) for record in records] for name in names]
    for name, column in zip(names, columns, strict=True):
        one_word = not any(" " in cell for cell in column)
        table.add_column(_words(name), overflow="fold", no_wrap=one_word)
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    if _fits(table, out):
        out.print(table)
        return
    out.print(_words(title, "table.title"))
    for record in records:
        _print_lines(record, out)
        out.print()


def _fits(table: Table, out: Console) -> bool:
    """Whether no word has to be broken: half a path cannot be copied, nor half a time be read."""
    unbound = out.options.update_width(sys.maxsize)
    return Measurement.get(out, unbound, table).minimum <= out.width


def _print_lines(value: Mapping[str, Any], out: Console) -> None:
    """Name and value a line, as long as it is: the terminal breaks it and copies it whole."""
    room = max(cell_len(visible(str(name))) for name in value)
    for name, content in value.items():
        label = _words(name, "bold")
        label.align("left", room)
        for line in text(content).split("\n"):
            out.print(Text.assemble(label, "  ", line), soft_wrap=True)
            label = Text(" " * room)


def _words(name: str, style: str = "") -> Text:
    return Text(visible(str(name)), style)


def text(value: object) -> str:
    """A value as it stands in a table."""
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "no"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, list | tuple):
        return "\n".join(text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{visible(str(name))} {text(content)}" for name, content in value.items())
    return visible(str(value))
