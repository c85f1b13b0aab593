"""Results on a terminal say what they hold."""

import io

from rich.console import Console

from pipeline import demo_serve, show


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
    text = shown(lambda out: rest.update(demo_serve.show(result, out)))
    assert text.startswith("$ curl -s http://x/v1/search -d '{}'\n{")
    assert '"price_preference": [0.25, 0.75]' in text
    assert rest == {"promoted": True}
