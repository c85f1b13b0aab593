"""Questions in raw ids -> samples, by the very functions that `samples` is built with.

There is no second implementation of histories, properties or ranking features: a question becomes
a row of the SAMPLES schema, so training and serving cannot drift apart.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features import samples
from features.questions.moments import Moments
from features.samples import Group, SamplesConfig, World
from features.schemas import (
    MOMENTS,
    SEQUENCE_LENGTH,
    BehaviorType,
    MomentKind,
    Scenario,
    conform,
)
from features.timeline import Coded, Spans, Timeline, codes_of
from features.vocabulary import Vocabulary
from serving.contracts import Question, milliseconds

HISTORY = pa.list_(
    pa.struct(
        [
            ("item_id", pa.string()),
            ("type", pa.int8()),
            ("scenario", pa.int8()),
            ("ts", pa.int64()),
        ]
    )
)


def samples_of(
    questions: Sequence[Question],
    world: World,
    profile: Sequence[Vocabulary],
    *,
    price_offers: bool = False,
) -> pa.Table:
    """One sample a question, in order; PPP is asked of each.

    Args:
        questions: to be answered together.
        world: tables of the day.
        profile: vocabularies of the profile's columns.
        price_offers: for a network that hears what is on offer.
    """
    table = _moments(questions)
    number = np.arange(len(questions), dtype=np.int32)
    past = _past(questions, table.column("ts").to_numpy())
    start, stop = past.offsets[:-1], past.offsets[1:]
    nothing = past.take(np.zeros(len(past.user), bool))
    group = Group(
        moments=Moments(table, number),
        past=past,
        spans=Spans(np.maximum(stop - SEQUENCE_LENGTH, start), stop),
        actions=nothing,
        own_day=nothing,
        past_owner=past.user,
        moment_owner=number,
        profile=_profile(questions, profile),
    )
    config = SamplesConfig(price_offers=price_offers)
    built = samples.build(group, world, config, window_ms=0, seed=0)
    asked = pa.array(np.ones(len(questions), np.int8))
    return built.set_column(
        built.schema.get_field_index("price_level"), built.schema.field("price_level"), asked
    )


def _moments(questions: Sequence[Question]) -> pa.Table:
    count = len(questions)
    columns = {
        "sample_id": pa.array([str(i) for i in range(count)]),
        "user_hash": pa.array(np.zeros(count, np.uint64)),
        "user_id": pa.array([q.user_id for q in questions]),
        "ts": pa.array([milliseconds(q.ts) for q in questions], pa.int64()),
        "kind": pa.array(np.full(count, MomentKind.PAGE, np.int8)),
        "scenario": pa.array([Scenario[q.scenario.upper()] for q in questions], pa.int8()),
        "query": pa.array([q.query for q in questions], pa.string()),
        "request_id": pa.array([str(i) for i in range(count)]),
        "key": pa.array(np.zeros(count, np.uint64)),
        "item_ids": pa.array([q.candidates or None for q in questions], pa.list_(pa.string())),
        "first": pa.array(np.zeros(count, bool)),
    }
    return conform(pa.table(columns), MOMENTS)


def _past(questions: Sequence[Question], moment_ts: NDArray[np.int64]) -> Timeline:
    """All histories one after the other, oldest first, nothing at or after its moment."""
    records = [
        [
            {
                "item_id": b.item_id,
                "type": BehaviorType[b.type.upper()],
                "scenario": Scenario[b.scenario.upper()],
                "ts": milliseconds(b.ts),
            }
            for b in q.history
        ]
        for q in questions
    ]
    lists = pa.array(records, HISTORY)
    length = pc.list_value_length(lists).to_numpy()
    user = np.repeat(np.arange(len(questions), dtype=np.int32), length)
    flat = lists.flatten()
    ts = flat.field("ts").to_numpy(zero_copy_only=False)
    items = codes_of(flat.field("item_id"))
    order = np.lexsort((np.arange(len(ts)), ts, user))
    order = order[ts[order] < moment_ts[user[order]]]
    values = {
        "ts": ts[order],
        "type": flat.field("type").to_numpy(zero_copy_only=False)[order],
        "scenario": flat.field("scenario").to_numpy(zero_copy_only=False)[order],
    }
    item = Coded(items.codes[order], items.values)
    return Timeline.of_histories(user[order], item, values, len(questions))


def _profile(
    questions: Sequence[Question], vocabularies: Sequence[Vocabulary]
) -> NDArray[np.int32]:
    """[questions, profile columns]: vocabulary rows, 1 where nothing is known."""
    rows = np.ones((len(questions), len(vocabularies)), np.int32)
    for index, words in enumerate(vocabularies):
        column = words.feature.removeprefix("profile_")
        rows[:, index] = words.rows_of(
            pa.array([q.profile.get(column) for q in questions], pa.string())
        )
    return rows
