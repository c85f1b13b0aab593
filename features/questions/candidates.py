"""Candidates of each moment: what was shown and what came of it, or a click and its negatives."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import labels, lists, ranking
from features.draws import mix
from features.questions import negatives
from features.questions.meetings import Candidates, Pasts
from features.questions.moments import Moments
from features.questions.negatives import Drawn, Wish
from features.questions.relevance import relevance, word_table
from features.questions.world import Group, SamplesConfig, World
from features.schemas import CandidateOrigin, MomentKind
from features.timeline import Codes, Ints, codes_of
from infra.errors import ConfigError

Int8s = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Candidates of all moments, by moment; the positive of a derived moment comes first."""

    moment: Ints
    item: Codes
    """Catalog row."""
    origin: Int8s
    outcome: labels.Outcome


def candidates(
    group: Group, world: World, config: SamplesConfig, window_ms: int, seed: int
) -> Asked:
    """Shown items of pages with their outcomes; clicked items of derived moments with negatives."""
    moments, actions = group.moments, group.actions
    kind = moments.table.column("kind").to_numpy()
    shown_ids = moments.table.column("item_ids").combine_chunks()
    moment = np.repeat(np.arange(len(kind)), shown_ids.value_lengths().fill_null(0).to_numpy())
    ids = codes_of(actions.items, shown_ids.flatten())  # begins with the items of the actions
    known = len(actions.items)
    rows = np.append(
        world.rows_of(actions.items), world.catalog.rows_of_distinct(ids.values[known:])
    )
    code = ids.codes[known:]
    wanted, named = _label_keys(group, moment, code, actions.item, len(ids.values))
    outcome = labels.outcome(wanted, moments.ts[moment], named, actions, window_ms)
    page = kind[moment] == MomentKind.PAGE
    origin = np.where(page, CandidateOrigin.SHOWN, CandidateOrigin.CLICKED).astype(np.int8)
    keep = kind[moment] != MomentKind.TOUCH
    shown = Asked(
        moment=moment[keep],
        item=rows[code][keep],
        origin=origin[keep],
        outcome=_only(outcome, np.flatnonzero(keep)),
    )
    return _with_negatives(shown, moments, world, config, seed)


def _label_keys(
    group: Group, moment: Ints, code: Codes, action_item: Codes, items: int
) -> tuple[Ints, Ints]:
    """Integers that are equal where an action is about a candidate.

    Pages join by user, request and item, derived moments by user and item. The two kinds of keys
    never meet, for a log has pages or derived moments.

    Raises:
        ConfigError: users, requests and items do not fit into one integer.
    """
    moments, actions = group.moments, group.actions
    owner = moments.user[moment].astype(np.int64)
    if (moments.table.column("kind").to_numpy() == MomentKind.PAGE).any():
        both = codes_of(actions.requests, moments.table.column("request_id"))
        wanted = both.codes[len(actions.requests) :][moment]
        named = np.append(both.codes[: len(actions.requests)], -1)[actions.request]
        width, users = np.int64(len(both.values) + 1), len(actions.offsets) - 1
        if (users * int(width) * items).bit_length() > 63:
            raise ConfigError(
                f"a bucket of {users:,} users is too wide for {len(both.values):,} requests about "
                f"{items:,} items. Set beam.buckets higher."
            )
        # A request belongs to one user: that the user is the same is checked by the key as well.
        candidate = (owner * width + wanted) * items + code
        action = (actions.user * width + named) * items + action_item
        return np.where(wanted < 0, -1, candidate), np.where(named < 0, -1, action)
    return owner * items + code, actions.user.astype(np.int64) * items + action_item


def _with_negatives(
    shown: Asked, moments: Moments, world: World, config: SamplesConfig, seed: int
) -> Asked:
    positive = np.flatnonzero(shown.origin == CandidateOrigin.CLICKED)
    if not len(positive):
        return shown
    of = shown.moment[positive]
    whole = moments.table
    seeds = mix(whole.column("key").to_numpy()[of] + np.uint64(seed))
    wish = Wish(seeds, whole.column("user_hash").to_numpy()[of], shown.item[positive])
    parts = [shown]
    for origin, drawn in _draws(wish, world, config):
        none = np.zeros(len(drawn.item), np.int8)
        parts.append(
            Asked(
                moment=of[drawn.moment],
                item=drawn.item,
                origin=np.full(len(drawn.item), origin, np.int8),
                outcome=labels.Outcome(none, none, none),
            )
        )
    moment = np.concatenate([part.moment for part in parts])
    order = np.argsort(moment, kind="stable")
    outcome = labels.Outcome(
        *(
            np.concatenate([getattr(part.outcome, name) for part in parts])[order]
            for name in ("clicked", "strongest", "purchased")
        )
    )
    return Asked(
        moment=moment[order],
        item=np.concatenate([part.item for part in parts])[order],
        origin=np.concatenate([part.origin for part in parts])[order],
        outcome=outcome,
    )


def _draws(wish: Wish, world: World, config: SamplesConfig) -> list[tuple[CandidateOrigin, Drawn]]:
    number = config.any_category
    if config.negatives == "mimn":
        return [(CandidateOrigin.SAME_DAY, negatives.uniform(world.catalog, wish, 1))]
    if config.negatives == "uniform":
        return [(CandidateOrigin.SAME_DAY, negatives.uniform(world.catalog, wish, number))]
    if config.negatives == "popularity":
        return [
            (
                CandidateOrigin.SAME_DAY,
                negatives.popular(world.catalog, world.statistics, wish, number),
            )
        ]
    category = world.catalog.category[wish.item]
    again = Wish(mix(wish.seed), wish.user_hash, wish.item)
    return [
        (CandidateOrigin.SAME_DAY, negatives.other_clicks(world.pool, wish, number)),
        (
            CandidateOrigin.SAME_CATEGORY,
            negatives.same_category(world.pool, again, category, config.same_category),
        ),
    ]


def columns(
    asked: Asked, pasts: Pasts, moments: Moments, world: World, config: SamplesConfig
) -> dict[str, pa.Array]:
    """The `cand_*` columns of SAMPLES."""
    fits = _relevance(asked, moments, world)
    these = Candidates(moment=asked.moment, item=asked.item, relevance=fits)
    table = ranking.features(these, pasts, world.catalog, world.item_table)
    count = np.bincount(asked.moment, minlength=len(moments.user))
    strongest = asked.outcome.strongest
    values = {
        "cand_item": asked.item,
        "cand_clicked": asked.outcome.clicked,
        "cand_label": np.where(strongest > 0, 1, -1).astype(np.int8),
        "cand_weight": config.weigh(strongest, world.catalog.price_level[asked.item]),
        "cand_features": lists.matrix(table),
        "cand_purchased": asked.outcome.purchased,
        "cand_origin": asked.origin,
    }
    return {name: lists.asked(count, flat) for name, flat in values.items()}


def _relevance(asked: Asked, moments: Moments, world: World) -> NDArray[np.float32]:
    queries = moments.table.column("query").combine_chunks()
    if queries.null_count == len(queries) or world.titles.null_count == len(world.titles):
        return np.zeros(len(asked.item), np.float32)
    coded = codes_of(queries)
    typed = coded.codes[asked.moment] >= 0
    fits = np.zeros(len(asked.item), np.float32)
    fits[typed] = relevance(
        word_table(coded.values, world.token),
        coded.codes[asked.moment[typed]].astype(np.int64),
        world.title_words.words(asked.item[typed]),
    )
    return fits


def _only(outcome: labels.Outcome, rows: Ints) -> labels.Outcome:
    return labels.Outcome(outcome.clicked[rows], outcome.strongest[rows], outcome.purchased[rows])
