"""The data contracts: one Arrow schema per table of the store, and the closed sets in them.

Codes are int8 and start at 1, because 0 is padding wherever a code meets an embedding.
Tables keyed by user carry `user_hash` (see `features.buckets`) and are sorted by
(user_hash, user_id, ts, ...): files are hash ranges, so that the rows in file order are the same
whatever the number of buckets.
"""

from collections.abc import Iterable
from enum import IntEnum

import pyarrow as pa

from infra.errors import PartitionCorrupt


class BehaviorType(IntEnum):
    """What a user did with an item, weakest first (Section 4.1)."""

    CLICK = 1
    BOOKMARK = 2
    CART = 3
    PURCHASE = 4


class Scenario(IntEnum):
    """Where it happened (Section 4.1)."""

    SEARCH = 1
    RECOMMEND = 2
    AD = 3
    UNKNOWN = 4


class CandidateOrigin(IntEnum):
    """Why an item is a candidate of its moment; reports give one AUC per kind of negative."""

    SHOWN = 1
    """On a page that the user really saw."""
    CLICKED = 2
    """Derived moments: the positive."""
    SAME_DAY = 3
    """Derived: clicked by another user that day, any category (or the setting's protocol)."""
    SAME_CATEGORY = 4
    """Derived: the same, within the positive's category."""


MS = pa.timestamp("ms", tz="UTC")
PADDING, UNKNOWN_ROW = 0, 1
"""Rows 0 and 1 of every vocabulary: padding and unknown. Catalog rows start the same way."""

USER_KEY = [("user_hash", pa.uint64()), ("user_id", pa.string())]

BEHAVIORS = pa.schema(
    [
        *USER_KEY,
        ("ts", MS),
        ("item_id", pa.string()),
        ("type", pa.int8()),
        ("scenario", pa.int8()),
        ("request_id", pa.string()),
        ("price", pa.float32()),
        ("shop_id", pa.string()),  # the four inline attributes: null where the log has none
        ("brand_id", pa.string()),
        ("category_id", pa.string()),
        ("key", pa.uint64()),  # hash of the declared identity; finds the same row in a later day
    ]
)
"""`events/dt=D/behaviors`: canonical, deduplicated; D = arrival day."""

IMPRESSIONS = pa.schema(
    [
        *USER_KEY,
        ("ts", MS),
        ("request_id", pa.string()),
        ("scenario", pa.int8()),
        ("query", pa.string()),  # null: no query was typed
        ("item_ids", pa.list_(pa.string())),  # in the order shown
        ("variant", pa.string()),  # arm of an experiment; null: none ran
        ("model_version", pa.string()),  # from here on: how the page was answered, where it is said
        ("line", pa.string()),
        ("price_level", pa.int8()),  # that PPP found likeliest, 1..7
        ("latency_ms", pa.float32()),  # until the answer was there
        ("failed", pa.bool_()),  # no answer came, and the page was filled by something else
    ]
)
"""`events/dt=D/impressions`: one row is a page that was shown."""

FOLLOWS = pa.schema([*USER_KEY, ("ts", MS), ("icon_id", pa.string()), ("followed", pa.bool_())])
"""`events/dt=D/follows`: an icon that was shown, and whether the user followed it."""

ITEMS = pa.schema(
    [
        ("item_id", pa.string()),
        ("shop_id", pa.string()),
        ("brand_id", pa.string()),
        ("category_id", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("price", pa.float32()),
        ("title", pa.string()),
    ]
)
"""`events/dt=D/items`: a catalog snapshot, canonical, one row an item, sorted by item_id.

Beside it `users` (user_hash, user_id, then string columns, in user order), `icons` (icon_id, then
string columns) and `shops` (shop_id, then string columns): columns are the data set's own."""

REJECTS = pa.schema(
    [
        ("table", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),
        ("text", pa.string()),
        ("reason", pa.string()),  # a code of features.raw.rejects.Reason
        ("sentence", pa.string()),
    ]
)
"""`rejects/dt=D`: every refused row."""

VOCABULARY = pa.schema(
    [
        ("id", pa.string()),
        ("row", pa.int32()),  # -1: seen, not yet often enough to be admitted
        ("count", pa.int64()),  # sightings so far: behaviours, displays, words, tags, snapshots
    ]
)
"""`vocabulary/dt=D/<feature>`, feature in FEATURES or `profile_<column>`; append-only."""

FEATURES = ("item", "brand", "shop", "category", "tag", "token", "icon")
TAGS_PER_ITEM = 9
"""Tag rows kept per item: up to 5 attributes, three bucketed statistics of the days before, and
the price level."""

CATALOG = pa.schema(
    [
        ("item_id", pa.string()),
        ("row", pa.int32()),  # catalog row: 2, 3, ... in order of first appearance; never changes
        ("item", pa.int32()),  # vocabulary rows from here; 1 where unknown
        ("brand", pa.int32()),
        ("shop", pa.int32()),
        ("category", pa.int32()),
        ("tags", pa.list_(pa.int32(), TAGS_PER_ITEM)),  # padded with 0
        ("price", pa.float32()),  # null where unknown
        ("price_level", pa.int8()),  # 1..7 within its category; 0 where unknown
        ("title", pa.string()),
    ]
)
"""`catalog/dt=D`: all items known when D has ended, sorted by row, rows dense from 2."""

PRICE_LEVELS = 7

SEQUENCES = pa.schema(
    [
        *USER_KEY,
        ("ts", pa.int64()),  # ms since the epoch, UTC
        ("item_id", pa.string()),
        ("type", pa.int8()),
        ("scenario", pa.int8()),
        ("key", pa.uint64()),
        ("request_id", pa.string()),  # only after the horizon: labels of open moments need it
    ]
)
"""`sequences/dt=D/history`: one row a behaviour, oldest first within a user. Per user the last 100
before the horizon (midnight - W) and all after it, so that a moment near midnight can be cut."""


class MomentKind(IntEnum):
    """What made a moment."""

    PAGE = 1
    """An impression."""
    FOLLOW = 2
    """Icons shown to a user at one time."""
    CLICK = 3
    """Derived, for logs without impressions: a click."""
    TOUCH = 4
    """Derived: a first bookmark or cart of an item, kept only if a purchase follows (PPP)."""


MOMENTS = pa.schema(
    [
        ("sample_id", pa.string()),
        *USER_KEY,
        ("ts", pa.int64()),  # ms since the epoch, UTC
        ("kind", pa.int8()),
        ("scenario", pa.int8()),
        ("query", pa.string()),
        ("request_id", pa.string()),  # null: not a page
        ("key", pa.uint64()),  # of the behaviour that a derived moment is; else 0
        ("item_ids", pa.list_(pa.string())),  # null: CTR and L2R are not asked
        ("icon_ids", pa.list_(pa.string())),  # null: FIFP is not asked
        ("icon_followed", pa.list_(pa.int8())),
        ("first", pa.bool_()),  # the user's first moment of its day: SPP is asked here
    ]
)
"""A moment before anything is looked up: raw ids."""

OPEN = pa.schema(
    [
        *MOMENTS,
        ("seq_item_id", pa.list_(pa.string())),  # oldest first, at most 100
        ("seq_ts", pa.list_(pa.int64())),
        ("seq_type", pa.list_(pa.int8())),
        ("seq_scenario", pa.list_(pa.int8())),
    ]
)
"""`sequences/dt=D/open`: moments of day D whose window closes after midnight, histories cut."""

POOL = pa.schema(
    [
        ("draw", pa.uint64()),  # seeded hash of the click: the smallest are kept, in this order
        ("user_hash", pa.uint64()),
        ("item_id", pa.string()),
    ]
)
"""`sequences/dt=D/pool`: a bounded sample of the day's clicks, for negatives."""

SEQUENCE_LENGTH = 100

PROPERTIES = ("type", "scenario", "gap", "daypart", "weekend")
"""Of a behaviour, as its moment sees it: the columns of p_i (Section 4.1), in the order of the
network's tables. `features.property` says how each is told and how many codes it has."""

SEQ_COLUMNS = ("seq_item", *(f"seq_{name}" for name in PROPERTIES))

SAMPLES = pa.schema(
    [
        ("sample_id", pa.string()),
        *USER_KEY,
        ("ts", MS),
        ("scenario", pa.int8()),
        ("query", pa.list_(pa.int32())),  # token rows; empty where there is no query
        ("profile", pa.list_(pa.int32())),  # one vocabulary row per profile column; may be empty
        ("seq_item", pa.list_(pa.int32())),  # catalog rows, oldest first, at most 100
        *((f"seq_{name}", pa.list_(pa.int8())) for name in PROPERTIES),  # codes from 1
        ("cand_item", pa.list_(pa.int32())),  # null: CTR and L2R are not asked at this moment
        ("cand_clicked", pa.list_(pa.int8())),  # 0/1
        ("cand_label", pa.list_(pa.int8())),  # -1/+1, equation (9)
        ("cand_weight", pa.list_(pa.float32())),  # n_i of equation (9)
        ("cand_features", pa.list_(pa.list_(pa.float32()))),  # r_i, named in features.ranking
        ("cand_purchased", pa.list_(pa.int8())),  # 0/1: for the purchase AUC
        ("cand_origin", pa.list_(pa.int8())),  # CandidateOrigin
        ("price_level", pa.int8()),  # 1..7; null: PPP is not asked
        (
            "price_offer",
            pa.list_(pa.float32()),
        ),  # questions.offers; null: no query, or not wanted
        ("icon", pa.list_(pa.int32())),  # null: FIFP is not asked
        ("icon_followed", pa.list_(pa.int8())),
        ("shop", pa.list_(pa.int32())),  # null: SPP is not asked
        ("shop_preferred", pa.list_(pa.int8())),
    ]
)
"""`samples/dt=D`: one row is one moment of one user; the label window of each closed in D."""

CANDIDATES = tuple(name for name in SAMPLES.names if name.startswith("cand_"))
"""Of SAMPLES: lists with an entry a candidate."""
LEVEL_LISTS = (SEQ_COLUMNS, CANDIDATES, ("icon", "icon_followed"), ("shop", "shop_preferred"))
"""Lists of SAMPLES that are equally long at a moment; a null one is an empty one."""

QUESTIONS = {"cand_item": "ctr", "price_level": "ppp", "icon": "fifp", "shop": "spp"}
"""Columns of SAMPLES that are null where a moment does not ask, and the task that a day's count of
them is named after (L2R asks of the candidates of CTR). A moment that asks nothing is no sample."""


PRICED_CLICKS = "priced_clicks"
"""A count of samples: clicked candidates with a price level, of which PPP may ask, too."""
YOUNGER = ("price_offer",)
"""Columns of SAMPLES that days published before them have not: nothing is known, as null says."""


def with_younger(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """`table` with those of `names` that it lacks, columns of SAMPLES, null in every row."""
    for name in names:
        if name not in table.column_names:
            none = pa.nulls(table.num_rows, SAMPLES.field(name).type)
            table = table.append_column(SAMPLES.field(name), none)
    return table


def samples_now(table: pa.Table, where: str) -> pa.Table:
    """Samples as they were published, in the columns that SAMPLES has now.

    Args:
        table: all of their columns.
        where: the partition that they are of, for the error.

    Raises:
        PartitionCorrupt: one is absent that is not YOUNGER: they were built before it.
    """
    table = with_younger(table, YOUNGER)
    lacking = [name for name in SAMPLES.names if name not in table.column_names]
    if lacking:
        raise PartitionCorrupt(
            f"{where} lacks {', '.join(lacking)}: it was built by a version of dupn that did not "
            "know of it. Build it again with `dupn samples`."
        )
    return table.select(SAMPLES.names)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """`table` with exactly the columns of `schema`, absent ones null, types cast (safe)."""
    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
