"""What every page of a template has in common."""

from pathlib import Path

import pytest

import evaluation

TEMPLATES = sorted((Path(evaluation.__file__).parent / "templates").glob("*.html.j2"))
DRAWN = [path for path in TEMPLATES if "<img" in path.read_text()]


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: path.name)
def test_a_wide_picture_keeps_a_width_at_which_it_is_read_and_its_section_scrolls(path):
    css = " ".join(path.read_text().partition("</style>")[0].split())
    assert "overflow-x: auto" in css.partition("section {")[2].partition("}")[0]
    wide = "@media screen { section img { max-width: max(100%, 760px); }"
    assert wide in css.partition("img { max-width: 100%;")[2]  # the later rule holds


def test_there_are_pages_with_pictures():
    assert len(DRAWN) > 5
