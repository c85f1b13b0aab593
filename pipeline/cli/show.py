"""Results as a person reads them: tables on stdout.

Names and values are of others too (files, settings, what logs hold): brackets in them are no markup
and colons no pictures, and what would steer the terminal is written out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len
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
    names, contents = [visible(str(name)) for name in value], [text(one) for one in value.values()]
    widths = _widths([names, contents], out.width)
    if widths is None:
        out.print(_words(title, "table.title"))
        _print_lines(value, out)
        return
    table = Table(title=_words(title, "table.title"), show_header=False, title_justify="left")
    table.add_column(style="bold", width=widths[0], overflow="fold")
    table.add_column(width=widths[1], overflow="fold")
    for name, content in zip(names, contents, strict=True):
        table.add_row(Text(name), Text(content))
    out.print(table)


def _print_records(title: str, records: list[Any], out: Console) -> None:
    names = list(dict.fromkeys(name for record in records for name in record))
    columns = [[text(record.get(name)) for record in records] for name in names]
    headed = [[visible(str(name)), *column] for name, column in zip(names, columns, strict=True)]
    widths = _widths(headed, out.width)
    if widths is None:
        out.print(_words(title, "table.title"))
        for record in records:
            _print_lines(record, out)
            out.print()
        return
    table = Table(title=_words(title, "table.title"), title_justify="left")
    for name, width in zip(names, widths, strict=True):
        table.add_column(_words(name), width=width, overflow="fold")
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    out.print(table)


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """Cells of each column in a table that breaks no word; None where no such table fits.

    Half a path cannot be copied, nor half a time be read. Rich would narrow the widest columns to
    one width, whatever their words are.
    """
    lines = [[line for cell in column for line in cell.split("\n")] for column in columns]
    widths = [max(map(cell_len, column), default=0) for column in lines]
    least = [
        max((cell_len(word) for line in column for word in line.split()), default=0)
        for column in lines
    ]
    room = width - 3 * len(columns) - 1  # frame and padding
    if sum(least) > room:
        return None
    while sum(widths) > room:
        slack = [now - word for now, word in zip(widths, least, strict=True)]
        widths[slack.index(max(slack))] -= 1
    return widths


def _print_lines(value: Mapping[str, Any], out: Console) -> None:
    """Name and value a line, as long as it is: the terminal breaks it and copies it whole."""
    room = max((cell_len(visible(str(name))) for name in value), default=0)
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
