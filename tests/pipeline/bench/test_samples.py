import polars as pl
import pytest

from infra.store import Store
from pipeline.bench import day as synthetic
from pipeline.bench import polars_script, samples
from pipeline.bench.day import BEFORE, DAY, Size


@pytest.mark.drill
def test_both_sides_of_the_bench_do_the_same_work(tmp_path):
    size, store = Size(5_000, 500), Store(tmp_path)
    synthetic.write(tmp_path, size)
    for stage in samples.STAGES[:4]:
        samples.stage(store, stage, BEFORE)
    synthetic.write_history(store, size)
    for stage in samples.STAGES:
        samples.stage(store, stage, DAY)
    out = tmp_path / "polars.parquet"
    assert polars_script.run(tmp_path, DAY, BEFORE, out) == size.moments
    mine = pl.from_arrow(store.partition("samples", DAY).table()).filter(
        pl.col("cand_item").is_not_null()
    )
    theirs = pl.read_parquet(out)
    assert mine.height == theirs.height == size.moments
    mine = mine.with_columns(request_id=pl.col("sample_id").str.strip_prefix("page-"))
    both = mine.join(theirs, on="request_id", suffix="_theirs")
    assert both.height == size.moments
    for ours, other in (("seq_type", "type"), ("seq_daypart", "seq_daypart_theirs")):
        assert both[ours].list.len().to_list() == both[other].list.len().to_list()
        assert both[ours].list.sum().to_list() == both[other].list.sum().to_list()
    clicks = both["clicked"].list.eval(pl.element().fill_null(False)).list.sum()
    assert both["cand_clicked"].list.sum().to_list() == clicks.to_list()
