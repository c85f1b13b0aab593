import pytest

from training import bench
from training.config import ModelConfig


def test_a_quick_bench_names_every_figure_once_with_a_range_around_it():
    figures = bench.run(quick=True)
    names = [figure["name"] for figure in figures]
    assert len(set(names)) == len(names)
    assert {
        "train.bf16.c10.over_loop",
        "train.bf16.c10.over_din",
        "train.fp32.c10.over_dien",
        "train.fp32.c1.over_dien_kept",
        "train.fp32.c1.sequences_per_s",
        "train.shards.fp32.candidates_per_s",
        "train.shards.bf16.over_whole",
    } <= {*names}
    for figure in figures:
        assert set(figure) == {"name", "value", "low", "high", "unit", "protocol"}
        assert 0 < figure["low"] <= figure["value"] <= figure["high"]


def test_the_work_of_a_step_is_counted_as_the_paper_s_dimensions_give_it():
    gates = 4 * 128 * (124 + 128) + 3 * 128 * 48
    attention = 64 * (128 + 48) + 64 + 128
    assert bench.step_flop(ModelConfig(), length=100) == 6 * 100 * (gates + attention)


def test_a_ratio_is_formed_within_a_round():
    seconds = {"ours": 2.0, "theirs": 8.0}
    ratio = bench._ratio(bench._rate("ours", 10), bench._rate("theirs", 10))
    assert ratio(seconds) == pytest.approx(4.0)
