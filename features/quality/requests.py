"""Which types of behaviours name the page that they are about, in a log with pages.

Pages learn what was done about them by request_id. Many logs have it with clicks and not with
orders, which come from another system: then nothing fails, and what a purchase teaches is absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from features.schemas import BehaviorType

METRIC = "named_share"
ENOUGH = 30
"""Rows of a type of which none names a request once in a thousand days, if one in five does."""
UNLEARNT = {
    BehaviorType.CLICK: "nothing is clicked",
    BehaviorType.BOOKMARK: "no page learns what was bookmarked (samples.weight_bookmark)",
    BehaviorType.CART: "no page learns what went to the cart (samples.weight_cart)",
    BehaviorType.PURCHASE: (
        "no page learns what was bought (samples.weight_purchase), PPP is not asked, and the "
        "purchase AUC has no value"
    ),
}
"""Where none of a type names a request."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """A type of behaviours, and how many of them name a request."""

    type: BehaviorType
    rows: int
    named: int
    clicks_named: int

    @property
    def figure(self) -> str:
        """What the share is called."""
        return f"behaviors.request_id.{self.type.name.lower()}.{METRIC}"

    @property
    def share(self) -> float:
        """Of the rows of the type."""
        return self.named / self.rows

    @property
    def judged(self) -> bool:
        """Whether clicks name requests, and there are enough of the type for one to do so, too."""
        others = self.type != BehaviorType.CLICK
        return others and self.clicks_named > 0 and self.rows >= ENOUGH

    @property
    def meaning(self) -> str:
        """The share in words, and what to do."""
        one = self.type.name.lower()
        return (
            f"the share of {one}s that name a request by request_id, as clicks do. While none "
            f"does, {UNLEARNT[self.type]}. Log with a {one} the request_id of the page on which "
            "its item was found"
        )


def of_tally(tally: Mapping[str, float]) -> list[Named]:
    """The types that a day has, from what `features.quality.measured` counted of its behaviours."""
    rows, named = (
        {
            kind: int(tally.get(f"sum:behaviors.{column}.mix.{int(kind)}", 0))
            for kind in BehaviorType
        }
        for column in ("type", "request_id")
    )
    clicks = named[BehaviorType.CLICK]
    return [
        Named(type=kind, rows=rows[kind], named=named[kind], clicks_named=clicks)
        for kind in BehaviorType
        if rows[kind]
    ]
