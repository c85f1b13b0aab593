"""What `dupn bench` leaves under reports/bench."""

import json

import pytest

from pipeline.bench import benching
from pipeline.settings import load


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run a bench that found some figures; its report, as another program reads it."""

    def run(*values, quick=False):
        figures = [
            {"name": "n", "value": v, "low": v, "high": None, "unit": "ms", "protocol": ""}
            for v in values
        ]
        monkeypatch.setattr(benching, "BENCHES", {"tried": lambda _: figures})
        settings = load("smoke", str(tmp_path))
        said = benching.run(settings, "tried", quick=quick)
        kept = settings.store.get(f"reports/bench/tried{'-quick' if quick else ''}.json")
        assert json.loads(kept, parse_constant=pytest.fail) == said
        return said

    return run


def test_what_cannot_be_said_is_null(bench):
    found = bench(float("nan"), float("inf"), 2.0)["figures"]
    assert [one["value"] for one in found] == [None, None, 2.0]
    assert [one["low"] for one in found] == [None, None, 2.0]


def test_a_quick_bench_leaves_the_report_of_the_real_one_alone(bench, tmp_path):
    real = bench(1.0)
    bench(9.0, quick=True)
    assert json.loads((tmp_path / "reports/bench/tried.json").read_text()) == real
