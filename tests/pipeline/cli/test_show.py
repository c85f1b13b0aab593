"""Results on a terminal say what they hold."""

import io

import pytest
from rich.console import Console

from pipeline.cli import show
from pipeline.demo import service


def shown(print_to):
    out = io.StringIO()
    print_to(Console(file=out, width=120))
    return out.getvalue()


def test_brackets_in_a_sentence_are_no_markup():
    result = {"stopped": "change the limit under [quality].", "run": 1}
    assert "under [quality]." in shown(lambda out: show.result("demo", result, out))
    records = [{"why": "the setting [gate] says so"}]
    assert "[gate]" in shown(lambda out: show.result("log", records, out))


def test_the_demo_shows_the_command_and_the_answer_as_json():
    result = {
        "asked": "curl -s http://x/v1/search -d '{}'",
        "answered": {"items": [{"item_id": "i1"}], "price_preference": [0.25, 0.75]},
        "promoted": True,
    }
    rest = {}
    text = shown(lambda out: rest.update(service.show(result, out)))
    assert text.startswith("$ curl -s http://x/v1/search -d '{}'\n{")
    assert '"price_preference": [0.25, 0.75]' in text
    assert rest == {"promoted": True}


ODD = "[/bold]x [view] [red]y :warning: \\[z]"


@pytest.mark.parametrize(
    "result", [{ODD: ODD}, {"figures": [{"name": ODD}]}, [{ODD: ODD}], {ODD: {ODD: [ODD]}}, []]
)
def test_names_columns_and_titles_are_no_markup(result):
    assert ODD in shown(lambda out: show.result(ODD, result, out))


STEERS = "a\x1b[2J\x07\r\n\x7f\x9b\u202e\u2028\udc80b"
SEEN = r"a\x1b[2J\x07\r\n\x7f\x9b\u202e\u2028\udc80b"


@pytest.mark.parametrize(
    "result", [{STEERS: STEERS}, [{STEERS: [STEERS]}], {"a": {"b": {STEERS: 1}}}]
)
def test_a_name_of_a_file_does_not_steer_the_terminal(result):
    text = shown(lambda out: show.result(f"{STEERS} events", result, out))
    assert SEEN in text
    assert not set("\x1b\x07\r\x7f\x9b\u202e\u2028\udc80") & set(text)


def test_a_list_is_a_line_each():
    text = shown(lambda out: show.result("events", {"reasons": ["one", "two"]}, out))
    assert [line.strip("\u2502 \n").split()[-1] for line in text.splitlines()[2:4]] == [
        "one",
        "two",
    ]


def at(width, result):
    out = io.StringIO()
    show.result("log", result, Console(file=out, width=width))
    return out.getvalue()


def test_a_narrow_terminal_breaks_no_word_of_a_table():
    moves = [
        {"at": "2026-12-01T14:19:27+00:00", "version": n, "alias": "challenger", "why": "the gate"}
        for n in (1, 2)
    ]
    path = "/srv/shop/home/reports/offline/dupn-2026-03-04/report.html"
    places = {"raw data that arrived again": path, "pages": [path, path]}
    notes = [{"aliases": "champion 1, challenger 2", "why": f"see {path} and what is there"}]
    words = {"moves": ("2026-12-01T14:19:27+00:00", "challenger"), "places": (path,)}
    for name, result in (("moves", moves), ("places", places), ("places", notes)):
        for width in range(30, 210, 5):
            text = at(width, result)
            assert all(word in text for word in words[name]), (width, text)
    assert "\u2502" in at(200, moves)
    assert "\u2502" not in at(40, moves)
    assert at(40, moves).count("the gate") == 2
    assert at(40, places).splitlines()[3] == " " * (len("raw data that arrived again") + 2) + path
    assert show.result("log", {"": {}}, Console(file=io.StringIO(), width=3)) is None
