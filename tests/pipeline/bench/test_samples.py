"""The hand-written script that `dupn bench samples` is held against does the same work."""

import numpy as np
import polars as pl
import pytest

from features.ranking import NAMES
from infra.store import Store
from pipeline.bench import day as synthetic
from pipeline.bench import polars_script, samples
from pipeline.bench.day import BEFORE, DAY, Size
from pipeline.steps import DATA

LABELS = {None: (-1, 1.0), 1: (1, 1.0), 2: (1, 2.0), 3: (1, 3.0), 4: (1, 5.0)}
"""Label and weight of equation (9), by the strongest thing that was done with a candidate."""
GROUPS = {"item": "item", "shop": "shop_id", "brand": "brand_id", "category": "category_id"}
"""Our name of what a candidate shares with the history, and the script's."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def both(home):
    """A row a moment: our sample, and the script's with `_theirs`."""
    size, store = Size(5_000, 500), Store(home)
    synthetic.write(home, size)
    for stage in DATA[:4]:
        samples.stage(store, stage, BEFORE)
    synthetic.write_history(store, size)
    for stage in DATA:
        samples.stage(store, stage, DAY)
    out = home / "polars.parquet"
    assert polars_script.run(home, DAY, BEFORE, out) == size.moments
    mine = pl.from_arrow(store.partition("samples", DAY).table()).filter(
        pl.col("cand_item").is_not_null()
    )
    theirs = pl.read_parquet(out)
    assert mine.height == theirs.height == size.moments
    mine = mine.with_columns(request_id=pl.col("sample_id").str.slice(len("page-") + 17))
    joined = mine.join(theirs.select(pl.all().name.suffix("_theirs")), left_on="request_id",
                       right_on="request_id_theirs")  # fmt: skip
    assert joined.height == size.moments
    return joined


def flat(both, column):
    """Every value of a column of lists; null is 0."""
    return both[column].explode(empty_as_null=False).fill_null(0).to_numpy().astype(float)


@pytest.mark.drill
def test_memory_is_that_of_a_process_which_has_made_no_day_before(both, home):
    with samples._Memory() as here:
        for stage in DATA:
            samples.stage(Store(home), stage, DAY)
    first_use = samples._grown_alone(home) - here.grown  # of libraries, some 75 MiB
    assert first_use > 40 * 2**20


@pytest.mark.drill
def test_both_sides_of_the_bench_tell_the_same_histories(both):
    same = {"type": "type", "scenario": "scenario_right", "daypart": "seq_daypart"}
    for ours, other in {**same, "weekend": "seq_weekend"}.items():
        assert both[f"seq_{ours}"].to_list() == both[f"{other}_theirs"].to_list()
    gaps = both["seq_gap_theirs"].list.eval(pl.element().cast(pl.Int8) + 1)  # buckets from 0
    assert both["seq_gap"].to_list() == gaps.to_list()


@pytest.mark.drill
def test_both_sides_of_the_bench_name_the_same_items(both):
    """Each by a number of its own: one of ours for one of theirs."""
    pairs = set()
    for ours, other in (("seq_item", "item_theirs"), ("cand_item", "item_right_theirs")):
        assert both[ours].list.len().to_list() == both[other].list.len().to_list()
        pairs |= set(zip(flat(both, ours), flat(both, other), strict=True))
    assert len(pairs) == len({ours for ours, _ in pairs}) == len({other for _, other in pairs})
    assert len(pairs) > 300


@pytest.mark.drill
def test_both_sides_of_the_bench_teach_the_same(both):
    for name in ("clicked", "purchased"):
        assert flat(both, f"cand_{name}").tolist() == flat(both, f"{name}_theirs").tolist()
        assert flat(both, f"cand_{name}").sum() > 30
    told = both["strongest_theirs"].explode(empty_as_null=False).to_list()
    taught = zip(flat(both, "cand_label"), flat(both, "cand_weight"), strict=True)
    assert [LABELS[done] for done in told] == list(taught)


@pytest.mark.drill
@pytest.mark.parametrize("ours", GROUPS)
def test_both_sides_of_the_bench_count_the_same_meetings(both, ours):
    """What a candidate shares with the history. The script smooths statistics in its own way."""
    features = np.array(both["cand_features"].explode(empty_as_null=False).to_list())
    count, last = (features[:, NAMES.index(f"{ours}_{what}")] for what in ("count", "recency"))
    theirs = GROUPS[ours]
    np.testing.assert_allclose(count, flat(both, f"{theirs}_count_theirs") / 5, atol=1e-6)
    np.testing.assert_allclose(last, flat(both, f"{theirs}_last_theirs"), atol=0.003)
    assert len(set(count.tolist())) > 2
