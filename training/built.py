"""Whether samples were built with the ranking features that this version of dupn computes.

The columns of `cand_features` have no names of their own, but a day's lineage has them. Another
list is often as long: read by place, it would make a wrong report, or teach a network columns that
are not what it is asked about later, and nobody would hear of it.
"""

from collections.abc import Sequence
from datetime import date

from features import ranking
from infra.errors import PartitionCorrupt
from infra.store import Manifest


def require(days: Sequence[date], manifests: Sequence[Manifest]) -> None:
    """Hold each day's samples against `features.ranking`; of days before names were noted, nothing.

    Raises:
        PartitionCorrupt: a day has other features, or in another order.
    """
    lists = [one.lineage.get("ranking_features", ranking.NAMES) for one in manifests]
    named = zip(days, lists, strict=True)
    other = {day: names for day, names in named if tuple(names) != ranking.NAMES}
    if other:
        first, last = min(other), max(other)
        raise PartitionCorrupt(
            f"samples of {', '.join(map(str, sorted(other)))} were built with other ranking "
            "features than this version of dupn computes "
            f"({ranking.difference(other[first])}). Build them again: "
            f"`dupn samples --from {first} --to {last}`."
        )
