"""Settings of the offline evaluation; torch-free, so that DAG files and the CLI may read them."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from evaluation.names import HEADS, PROBE
from infra.config import CENTURY, LARGEST_SEED, Config, incompatible, named, once

FROZEN = (*HEADS, PROBE)
"""Heads that are held against a candidate (`evaluation.compatibility`)."""


class EvaluateConfig(Config):
    """How figures and their intervals are made."""

    moments: int = Field(100_000, ge=100)
    """Moments of the evaluated day that are asked, about, where it has more: users are drawn by
    hash. What is kept and worked out grows with them; of the day itself only the reading."""
    replicates: int = Field(500, ge=20)
    """Bootstrap draws of users."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """Coverage of the intervals of reports and of watched nights; those of studies and benches are
    at 95 %, an experiment has an `alpha` of its own."""
    seed: int = Field(11, ge=0, le=LARGEST_SEED)
    """Of the draws and of the shuffles."""
    calibration_bins: int = Field(20, ge=2)
    """Bins of equal size for the calibration error and its plot."""
    min_positives: int = Field(30, ge=1)
    """Fewer positives (or negatives) than this: the figure is "not enough evidence"."""
    min_users: int = Field(20, ge=2)
    """Fewer users than this: no interval, the figure is "not enough evidence". So few are few: of
    20 users the 95 % interval of an AUC covers 90 %, of 50 it covers 93 %."""
    batch_size: int = Field(512, ge=1)
    """Moments of a batch; on a CPU a batch a core is answered at a time, four at most."""
    activity_edges: tuple[Annotated[int, Field(ge=1)], ...] = (1, 10, 50, 100)
    """Behaviours in the history where a new slice of user activity begins, ascending; none:
    all users are one slice."""
    shuffles: bool = True
    """Also measure what shuffled properties, and shuffled queries, cost (two more passes)."""
    fit_moments: int = Field(20_000, ge=100)
    """Training moments, newest days first, that the fitted yardsticks learn from."""
    max_entropy_c: float = Field(1.0, gt=0)
    """MaxEnt of the price level: the inverse of its L2, as scikit-learn's C."""
    smoothing: float = Field(20.0, gt=0)
    """Impressions of the mean that a smoothed rate starts from."""
    background_days: int = Field(10, ge=1, le=CENTURY)
    """Newest training days before the evaluated one that yardsticks are fitted on and whose users
    count as seen: a bound, so that a night costs the same after a year."""

    @field_validator("activity_edges")
    @classmethod
    def _ascending(cls, edges: tuple[int, ...]) -> tuple[int, ...]:
        """Slices that overlap, or hold nobody, would be held against each other by the gate."""
        if any(high <= low for low, high in pairwise(edges)):
            raise ValueError("each edge must lie above the one before it; sort them, each once")
        return edges


class CompatibilityConfig(Config):
    """Heads that others froze on the champion's representation, on the candidate's."""

    moments: int = Field(20_000, ge=100)
    """Unseen moments that are asked, at most: users are drawn until there are so many."""
    seed: int = Field(29, ge=0, le=LARGEST_SEED)
    """Of the draw of users."""
    max_drop: float = Field(0.01, gt=0)
    """What a head may lose (AUC, or share of right answers) when it is fed the candidate's
    representation; more, if that it loses at all is significant, holds the promotion."""
    alpha: float = Field(0.05, ge=1e-9, lt=0.5)
    """One-sided error of that, over all heads together."""
    max_drops: dict[str, Annotated[float, Field(ge=0)]] = Field({})
    """The same for single heads: `ctr_auc`, `l2r_auc`, `ppp_precision`, `fifp_auc`,
    `probe_category`."""
    probe_classes: int = Field(8, ge=2)
    """Categories that the probe tells apart; the others are one more."""
    probe_ridge: float = Field(0.01, gt=0)
    """Penalty of the probe, per moment, on standardised dimensions."""
    probe_moments: int = Field(500, ge=10)
    """Clicks that the probe learns from, at least; with fewer there is none."""

    @field_validator("max_drops")
    @classmethod
    def _heads(cls, drops: dict[str, float]) -> dict[str, float]:
        """What a head that there is not may lose would never be asked."""
        return named(drops, FROZEN, "a frozen head")

    def allowed(self, head: str) -> float:
        """What a head may lose."""
        return self.max_drops.get(head, self.max_drop)


class WatchConfig(Config):
    """What is watched every night, and at what cost; figures are measured as `evaluate` says."""

    moments: int = Field(20_000, ge=100)
    """Moments of a day that a model is asked, at most: users are drawn until there are so many."""
    seed: int = Field(23, ge=0, le=LARGEST_SEED)
    """Of the draw of users and of the bootstrap."""
    replicates: int = Field(200, ge=20)
    """Bootstrap draws of users."""
    ages: tuple[Annotated[int, Field(ge=1, le=CENTURY)], ...] = (1, 2, 4, 7, 14)
    """Days since their last training day at which models of the line are asked (staleness)."""
    back: tuple[Annotated[int, Field(ge=1, le=CENTURY)], ...] = (1, 3, 7)
    """Days before the new one on which tonight's model is asked again (forgetting)."""
    max_auc_drop: float = Field(0.02, gt=0)
    """How far the champion's AUC on the new day may lie under the median of the nights before;
    more, if it is more than chance moves the two, is an alert."""
    median_nights: int = Field(7, ge=1)
    """Nights that this median is of, at most."""
    min_nights: int = Field(3, ge=1)
    """Nights before which there is no such alert."""
    page_nights: int = Field(30, ge=2)
    """Nights on the page."""

    @field_validator("ages", "back")
    @classmethod
    def _once(cls, days: tuple[int, ...]) -> tuple[int, ...]:
        return once(days)

    @model_validator(mode="after")
    def _median_has_its_nights(self) -> "WatchConfig":
        if self.min_nights > self.median_nights:
            raise incompatible(
                "watch.min_nights is more than watch.median_nights, so that no night would ever "
                "be judged: set watch.median_nights to as many or more"
            )
        return self
