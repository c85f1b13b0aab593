import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from evaluation.multiple import benjamini_hochberg, holm

FAMILIES = st.lists(st.none() | st.floats(0, 1), max_size=20)


def test_holm_and_bh_by_hand():
    p = [0.01, None, 0.04, 0.03]
    assert holm(p) == pytest.approx([0.03, None, 0.06, 0.06])
    assert benjamini_hochberg(p) == pytest.approx([0.03, None, 0.04, 0.04])


@pytest.mark.parametrize("method", [holm, benjamini_hochberg])
def test_what_was_not_asked_stays_null(method):
    assert method([]) == []
    assert method([None, None]) == [None, None]


@given(FAMILIES)
def test_they_are_those_of_statsmodels(p):
    known = [value for value in p if value is not None]
    for method, name in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        found = [value for value in method(p) if value is not None]
        expected = multipletests(known, method=name)[1] if known else []
        assert found == pytest.approx(list(expected), abs=1e-15)


def test_nothing_is_collected_for_them():
    """A collection takes half a second where MLflow and torch are loaded, and a look has dozens."""
    holm([0.1]), benjamini_hochberg([0.1])
    before = gc.get_stats()[2]["collections"]
    for _ in range(20):
        holm([0.1, 0.2]), benjamini_hochberg([0.1, 0.2])
    assert gc.get_stats()[2]["collections"] <= before + 1
