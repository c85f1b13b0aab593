from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from features import vocabulary
from features.buckets import bucket_index, split

DAYS = st.lists(st.lists(st.sampled_from("abcdefghijk"), max_size=25), min_size=1, max_size=4)


def grown(days, needed, ranges, parts):
    """Rows after some days, merged in ranges of the hash from `parts` batches in any order."""
    states = _split(vocabulary.initial("brand"), ranges)
    history, free = [], 2
    for ids in days:
        partial = [[] for _ in range(ranges)]
        for part in range(parts):
            counts = vocabulary.counted(pa.array(ids[part::parts], pa.string()))
            for index, table in split(counts, counts.column("hash").to_numpy(), ranges):
                partial[index].append(table)
        merged = [vocabulary.merge(s, p[::-1]) for s, p in zip(states, partial, strict=True)]
        new = {i: int(vocabulary.entrants(s, needed).sum()) for i, s in enumerate(merged)}
        starts = vocabulary.next_rows(new, free)
        states = [vocabulary.admit(s, needed, starts[i]) for i, s in enumerate(merged)]
        free += sum(new.values())
        history.append(pa.concat_tables(states))
    return history


def _split(state, ranges):
    index = bucket_index(state.column("hash").to_numpy(), ranges)
    return [state.filter(pa.array(index == i)) for i in range(ranges)]


@settings(deadline=None)
@given(DAYS, st.integers(1, 3))
def test_rows_are_append_only_dense_and_independent_of_ranges_and_batches(days, needed):
    history = grown(days, needed, ranges=1, parts=1)
    for table, other in zip(history, grown(days, needed, ranges=5, parts=3), strict=True):
        assert table.equals(other.combine_chunks()) or table.to_pylist() == other.to_pylist()
    before: dict[str, int] = {}
    seen: Counter[str] = Counter()
    for ids, table in zip(days, history, strict=True):
        seen.update(ids)
        rows = {r["id"]: r["row"] for r in table.to_pylist()}
        assert {r["id"]: r["count"] for r in table.to_pylist()} == dict(seen)
        admitted = {key: row for key, row in rows.items() if row != vocabulary.PENDING}
        assert set(admitted) == {key for key, count in seen.items() if count >= needed}
        assert sorted(admitted.values()) == list(range(2, 2 + len(admitted)))
        assert before.items() <= admitted.items()
        before = admitted


def test_ids_are_looked_up_in_any_form():
    state = vocabulary.merge(
        vocabulary.initial("shop"), [vocabulary.counted(pa.array(["s1", "s2", "s2", None]))]
    )
    known = vocabulary.of_table("shop", vocabulary.admit(state, 2, 2).select(["id", "row"]))
    ids = pa.array(["s2", "s1", None, "s9"])
    for form in (ids, ids.dictionary_encode(), pa.chunked_array([ids[:1], ids[1:]])):
        assert known.rows_of(form).tolist() == [2, 1, 1, 1]
    assert known.num_rows == 3
    assert known.rows_of(ids[:0]).dtype == np.int32


def test_statistic_tags_have_constant_rows():
    known = vocabulary.of_table("tag", vocabulary.initial("tag").select(["id", "row"]))
    tags = pa.array(["stat:popularity:0", "stat:ctr:7", "stat:cvr:10"])
    assert known.rows_of(tags).tolist() == [2, 2 + 11 + 7, 2 + 22 + 10]


IDS = st.lists(st.sampled_from([f"id{n}" for n in range(12)]), max_size=8)


class Nights:
    """The job's rule in small: days in order, any of which may be built again from other ids."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.built: list[tuple[pa.Table, int]] = []  # state and size by day

    def build(self, day: int, ids: list[str]) -> None:
        before = self.built[day - 1] if day else (vocabulary.initial("brand"), 2)
        again = day < len(self.built)
        standing, size = self.built[-1] if again else (vocabulary.initial("brand"), 2)
        found = vocabulary.merge(before[0], [vocabulary.counted(pa.array(ids, pa.string()))])
        found = vocabulary.keep_rows(found, standing.drop_columns("hash"), self.needed)
        free = max(before[1], size)
        new = int(vocabulary.entrants(found, self.needed).sum())
        made = vocabulary.admit(found, self.needed, free), free + new
        self.built[day : day + 1] = [made]

    def rows(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for state, _ in self.built:
            pairs = zip(state["id"].to_pylist(), state["row"].to_pylist(), strict=True)
            for name, row in pairs:
                if row >= 2:
                    found.setdefault(name, set()).add(row)
        return found


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 3),
    st.lists(IDS, min_size=1, max_size=5),
    st.tuples(st.integers(0, 4), IDS),
    IDS,
)
def test_an_id_has_one_row_ever_whatever_past_day_is_built_again(needed, days, again, tomorrow):
    nights = Nights(needed)
    for day, ids in enumerate(days):
        nights.build(day, ids)
    before = nights.rows()
    for day in range(min(again[0], len(days) - 1), len(days)):  # that day, and all after it
        nights.build(day, again[1] if day == again[0] else days[day])
        for name, rows in nights.rows().items():
            assert rows <= before.get(name, rows)
            assert len(rows) == 1
        everything = [row for rows in nights.rows().values() for row in rows]
        assert len(set(everything)) == len(everything)
    nights.build(len(days), tomorrow)
    taken = {row for rows in before.values() for row in rows}
    for name, rows in nights.rows().items():
        assert name in before or not rows & taken  # not even the row of an id that vanished
