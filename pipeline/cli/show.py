"""Results as a person reads them: tables on stdout.

Names and values are of others too (files, settings, what logs hold): brackets in them are no markup
and colons no pictures, and what would steer the terminal is written out.
"""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
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
        out.print(_records(title, value) if value else _words(f"{title}: {nothing}"))
        return
    figures = value.get("figures")
    plain = {name: content for name, content in value.items() if name != "figures"}
    if plain and all(isinstance(content, Mapping) for content in plain.values()):
        for name, content in plain.items():
            out.print(_pairs(f"{title} {name}", content))
    elif plain:
        out.print(_pairs(title, plain))
    if figures:
        narrow = [{name: one.get(name) for name in FIGURE} for one in figures]
        out.print(_records("figures", narrow))


def wide() -> Console:
    """A console that is wide enough for a table of figures where there is no terminal."""
    out = Console()
    return out if out.is_terminal else Console(width=150)


def _pairs(title: str, value: Mapping[str, Any]) -> Table:
    table = Table(title=_words(title, "table.title"), show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, content in value.items():
        table.add_row(_words(name), Text(text(content)))
    return table


def _records(title: str, records: list[Any]) -> Table:
    table = Table(title=_words(title, "table.title"), title_justify="left")
    names = list(dict.fromkeys(name for record in records for name in record))
    for name in names:
        table.add_column(_words(name), overflow="fold")
    for record in records:
        table.add_row(*[Text(text(record.get(name))) for name in names])
    return table


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
