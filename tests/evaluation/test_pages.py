"""What every page of a template has in common."""

import re
from pathlib import Path

import pytest

import evaluation

FOLDER = Path(evaluation.__file__).parent / "templates"
PAGES = sorted(path for path in FOLDER.glob("*.html.j2") if not path.name.startswith("_"))
STYLE = " ".join((FOLDER / "_style.css").read_text().split())
SCREEN, _, PAPER = STYLE.partition("@media print {")


def own(path):
    """The rules that a page has besides the style of all."""
    return path.read_text().partition('{% include "_style.css" %}')[2].partition("</style>")[0]


def test_a_wide_picture_keeps_a_width_at_which_it_is_read_and_its_section_scrolls():
    assert "overflow-x: auto" in SCREEN.partition("section {")[2].partition("}")[0]
    wide = "@media screen { section img { max-width: max(100%, 760px); }"
    assert wide in SCREEN.partition("img { max-width: 100%;")[2]  # the later rule holds


def test_on_paper_nothing_scrolls_and_a_heading_is_not_left_alone():
    assert "overflow: visible" in PAPER.partition("section {")[2].partition("}")[0]
    assert re.search(r"h1, h2, h3[^{]*\{ break-after: avoid; \}", PAPER)
    assert re.search(r"img, tr[^{]*\{ break-inside: avoid; \}", PAPER)
    assert "white-space: normal" in PAPER.partition("td.n")[2].partition("}")[0]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_has_the_style_of_all_and_no_rule_of_its_own_undoes_it(path):
    assert path.read_text().count('{% include "_style.css" %}') == 1
    assert not re.search(r"^\s*(:root|body|main|section|img|table|@media)\b", own(path), re.M)


def test_there_are_eight_pages():
    assert len(PAGES) == 8
