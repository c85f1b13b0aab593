"""Ids, titles, tags and query text: the world's numbers as a shop's log would spell them.

Titles and queries share their words, so that text relevance exists; a category is a kind and a
department ("running shoes"), and a vague query says the department only.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.marketplace.config import CATEGORIES_PER_DEPARTMENT
from evaluation.marketplace.query import Queries
from evaluation.marketplace.world import Items, World

DEPARTMENTS = (
    "shoes", "bags", "phones", "lamps", "toys", "coats", "knives", "bikes", "tents", "watches",
    "dresses", "chairs", "cameras", "teas", "creams", "guitars",
)  # fmt: skip
KINDS = ("running", "evening", "travel", "junior", "outdoor", "office", "retro", "mini")
STYLE_WORDS = ("sporty", "classic", "minimal", "romantic", "street", "luxe")
ATTRIBUTE_WORDS = (
    "leather", "cotton", "waterproof", "foldable", "wireless", "organic", "slim", "heavy",
    "bright", "silent",
)  # fmt: skip
PRICE_WORDS = ("cheap", None, "premium")
_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")


def ids(letter: str, width: int, numbers: NDArray[np.integer]) -> pl.Series:
    """`i0000012` and the like; null where the number is negative."""
    frame = pl.DataFrame({"n": np.asarray(numbers, np.int64)})
    text = pl.concat_str(pl.lit(letter), pl.col("n").cast(pl.String).str.zfill(width))
    return frame.select(pl.when(pl.col("n") >= 0).then(text).alias("id"))["id"]


def departments(world: World) -> list[str]:
    """One word each."""
    known = len(DEPARTMENTS)
    return [
        DEPARTMENTS[i] if i < known else f"{DEPARTMENTS[i % known]}{i // known + 1}"
        for i in range(world.departments)
    ]


def kinds(world: World) -> list[str]:
    """The word that tells each category from the others of its department."""
    known = len(KINDS)
    within = [c // world.departments for c in range(len(world.category_share))]
    return [KINDS[k] if k < CATEGORIES_PER_DEPARTMENT else f"kind{k - known}" for k in within]


def brands(world: World) -> list[str]:
    """Three syllables each."""
    size = len(_SYLLABLES)
    return [
        _SYLLABLES[(b * 7) % size] + _SYLLABLES[b % size] + _SYLLABLES[(b // size * 11) % size]
        for b in range(len(world.brand_tier))
    ]


def titles(world: World, items: Items) -> pl.Series:
    """Brand, style, both attributes, kind and department."""
    parts = [
        _say(brands(world), items.brand),
        _say(STYLE_WORDS, items.style),
        _say(ATTRIBUTE_WORDS, items.attributes[:, 0]),
        _say(ATTRIBUTE_WORDS, items.attributes[:, 1]),
        _say(kinds(world), items.category),
        _say(departments(world), world.category_department[items.category]),
    ]
    return _joined(parts)


def tags(items: Items) -> pl.Series:
    """Style and both attributes, as a list."""
    frame = pl.DataFrame(
        [
            _say(STYLE_WORDS, items.style).alias("a"),
            _say(ATTRIBUTE_WORDS, items.attributes[:, 0]).alias("b"),
            _say(ATTRIBUTE_WORDS, items.attributes[:, 1]).alias("c"),
        ]
    )
    return frame.select(pl.concat_list("a", "b", "c").alias("tags"))["tags"]


def query_text(world: World, queries: Queries) -> pl.Series:
    """What was typed; null where there is no query."""
    text = _joined(
        [
            _say(PRICE_WORDS, queries.price + 1),
            _say(STYLE_WORDS, queries.style),
            _say(ATTRIBUTE_WORDS, queries.attribute),
            _say(brands(world), queries.brand),
            _say(kinds(world), queries.category),
            _say(departments(world), queries.department),
        ]
    )
    typed = pl.Series(queries.typed)
    return pl.DataFrame({"q": text, "t": typed}).select(
        pl.when(pl.col("t")).then(pl.col("q")).alias("q")
    )["q"]


def _say(vocabulary: tuple[str | None, ...] | list[str], codes: NDArray[np.integer]) -> pl.Series:
    """Words by code; null for negative codes."""
    words = pl.Series([*vocabulary, None], dtype=pl.String)
    return words.gather(np.where(codes < 0, len(vocabulary), codes).astype(np.uint32))


def _joined(parts: list[pl.Series]) -> pl.Series:
    frame = pl.DataFrame([part.alias(str(i)) for i, part in enumerate(parts)])
    return frame.select(pl.concat_str(pl.all(), separator=" ", ignore_nulls=True).alias("x"))["x"]
