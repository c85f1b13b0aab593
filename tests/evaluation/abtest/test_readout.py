"""Where a look takes its caps from, and what they do to it."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evaluation.abtest.design import Design
from evaluation.abtest.readout import read_out
from tests.evaluation.abtest.rows import FIRST, readout

DESIGN = Design(arms={"old": 0.5, "new": 0.5}, first_day=FIRST, planned_days=5)


def changed(table, **columns):
    for name, values in columns.items():
        field = table.schema.field(name)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table


def some(table, name):
    """The column of those who have something."""
    column = table[name].to_numpy()
    return column[column > 0]


def test_caps_are_the_same_at_every_look():
    """Those of the whole pre-period, also of users who come on the last day or never."""
    table = readout(users=2000, days=5)
    first = table.filter(pc.equal(table["day"], FIRST))
    looks = [
        read_out(rows, DESIGN, FIRST + timedelta(days=n), before=table)
        for n, rows in ((0, first), (4, table))
    ]
    by_hand = {
        name: np.quantile(some(table, f"pre_{name}"), 0.999, method="higher")
        for name in ("impressions", "sales")
    }
    assert [look.caps for look in looks] == [pytest.approx(by_hand)] * 2
    assert read_out(table, DESIGN, FIRST).caps == {"impressions": None, "sales": None}


def test_caps_know_nothing_of_the_experiment():
    """Outcomes and arms may be anything: the caps stay."""
    table = readout(users=2000, days=1)
    other = changed(
        table,
        arm=np.random.default_rng(0).permutation(table["arm"].to_pylist()),
        sales=table["sales"].to_numpy() * 1000,
        impressions=table["impressions"].to_numpy() * 9,
    )
    caps, same = (read_out(rows, DESIGN, FIRST, before=rows).caps for rows in (table, other))
    assert same == caps
    assert None not in caps.values()


def test_a_crawler_weighs_in_the_click_rate_as_much_as_the_cap_lets_him():
    table = readout(users=600, days=1)
    shown, clicks = (table[name].to_numpy().copy() for name in ("impressions", "clicks"))
    control = np.array([arm == "old" for arm in table["arm"].to_pylist()])
    crawler = np.flatnonzero(control)[0]
    shown[crawler] = clicks[crawler] = 50_000  # he follows every link
    table = changed(table, impressions=shown, clicks=clicks)
    cap = np.quantile(some(table, "pre_impressions"), 0.999, method="higher")
    kept = np.minimum(1, cap / shown)[control]
    by_hand = (kept * clicks[control]).sum() / (kept * shown[control]).sum()
    seen = read_out(table, DESIGN, FIRST, before=table).primary
    assert seen.control == pytest.approx(by_hand)
    assert by_hand < 0.2 < 0.8 < clicks[control].sum() / shown[control].sum()
