"""What an experiment declares before its first day, as far as its statistics are concerned.

Whoever registers experiments embeds this in their declaration. Everything that decides is here, so
that a verdict is a function of the read-out and of what was promised beforehand.
"""

from datetime import date, timedelta
from typing import Self, TypeVar

from pydantic import Field, field_validator, model_validator

from evaluation.abtest import always_valid
from evaluation.abtest.always_valid import Mixture
from evaluation.abtest.ratios import METRICS
from infra.config import Config

LONGEST = 366
"""Days of an experiment, and of the days before it."""
Named = TypeVar("Named", tuple[str, ...], dict[str, float])


def known(named: Named) -> Named:
    """The names, if each is a metric.

    Raises:
        ValueError: naming those that are none.
    """
    unknown = [name for name in named if name not in METRICS]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no such metric; there are {', '.join(METRICS)}")
    return named


class Rule(Config):
    """How a read-out becomes a verdict."""

    primary: str = "ctr"
    """The metric that decides; of `evaluation.abtest.ratios.METRICS`."""
    minimum_effect: float = Field(0.02, gt=0)
    """Smallest relative effect on the primary that is worth a launch: an interval wholly below it
    ends the experiment."""
    ship_above: float = Field(0.0, ge=0)
    """Relative effect that the primary's always-valid interval must lie above to ship."""
    guardrails: dict[str, float] = Field({"sales": 0.0})
    """Metric -> relative drop that is tolerated; significantly more than it stops early."""
    max_error_rise: float = Field(0.002, ge=0)
    """Rise of the share of failed requests, among those that say whether they failed, that is
    tolerated; significantly more stops early."""
    max_slow_rise: float = Field(0.02, ge=0)
    """The same for the share over the latency budget, among requests with a latency."""
    alpha: float = Field(0.05, ge=1e-9, lt=0.5)
    """Two-sided error of the primary, and of all guardrails together; over all looks, over all
    challengers."""
    min_days: int = Field(1, ge=1)
    """Days before which nothing ships, however clear (7: a whole week must be seen)."""
    power: float = Field(0.8, gt=0.5, lt=1)
    """Wanted chance to find an effect, where it is said what could have been found."""

    @field_validator("primary")
    @classmethod
    def _measured(cls, primary: str) -> str:
        return known((primary,))[0]

    @field_validator("guardrails")
    @classmethod
    def _known(cls, guardrails: dict[str, float]) -> dict[str, float]:
        for name, drop in known(guardrails).items():
            if not 0 <= drop < 1:
                raise ValueError(
                    f"guardrail {name} = {drop:g}: a tolerated drop is a share from 0 to below 1 "
                    "(0.01 is one per cent)"
                )
        return guardrails


class TrustConfig(Config):
    """When the experiment itself is not believed."""

    alpha: float = Field(0.001, ge=1e-9, lt=0.5)
    """Of the sample-ratio mismatch and of the pre-period check, over all looks."""
    max_multiple: float = Field(0.001, ge=0, lt=1)
    """Share of users who may have seen several arms."""
    max_unknown: float = Field(0.001, ge=0, lt=1)
    """Share of rows that may be of unknown arms."""


class Design(Config):
    """An experiment as its statistics see it."""

    arms: dict[str, float]
    """Arm as logged -> share of the users; the first is the control."""
    first_day: date = Field(ge=date(1970, 1, 1), lt=date(9000, 1, 1))
    """Of exposure."""
    planned_days: int = Field(14, ge=1, le=LONGEST)
    """Looks are daily; after the last planned one there is a verdict, hence no further look."""
    metrics: tuple[str, ...] = ("ctr", "sales", "orders", "price_precision")
    """What is reported beside the primary and the guardrails."""
    winsorise: float = Field(0.999, gt=0.5, le=1)
    """Quantile of the pre-period at which users' totals are cut; 1 cuts nothing."""
    adjusted: bool = True
    """With CUPED."""
    planned_errors: dict[str, float] = Field({})
    """Metric -> standard error of its log uplift at the planned end (`power.Plan.planned_error`),
    from days before the experiment: its always-valid interval is the mixture that is sharpest
    there. One that is not named has the lowest multiplier at every look, whatever its error: what
    suits the primary would be blind for a noisier metric."""
    rule: Rule = Rule()
    trust: TrustConfig = TrustConfig()

    @field_validator("arms")
    @classmethod
    def _shares(cls, arms: dict[str, float]) -> dict[str, float]:
        if len(arms) < 2 or min(arms.values()) <= 0 or abs(sum(arms.values()) - 1) > 1e-9:
            raise ValueError("arms must be two or more, with shares above 0 that add up to 1")
        return arms

    @field_validator("metrics", "planned_errors")
    @classmethod
    def _known(cls, named: Named) -> Named:
        return known(named)

    @field_validator("planned_errors")
    @classmethod
    def _positive(cls, errors: dict[str, float]) -> dict[str, float]:
        for name, error in errors.items():
            if error <= 0:
                raise ValueError(f"planned_errors of {name} = {error:g}: it must be above 0")
        return errors

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.rule.min_days > self.planned_days:
            raise ValueError(
                f"rule.min_days = {self.rule.min_days} is more than planned_days = "
                f"{self.planned_days}: nothing could ever ship"
            )
        return self

    @property
    def control(self) -> str:
        """The arm that the others are held against."""
        return next(iter(self.arms))

    @property
    def treatments(self) -> tuple[str, ...]:
        """The other arms."""
        return tuple(self.arms)[1:]

    @property
    def alpha(self) -> float:
        """Of one challenger (Bonferroni over them)."""
        return self.rule.alpha / len(self.treatments)

    @property
    def guard_alpha(self) -> float:
        """Of one guardrail of one challenger; errors and latency are two of them.

        They keep their share where they are not logged: what is logged may change with the lines
        and from day to day, and an alpha that follows it would not hold over all looks.
        """
        return self.alpha / (len(self.rule.guardrails) + 2)

    def alpha_of(self, metric: str) -> float:
        """That at which a metric is judged, hence shown: the primary's, or a guardrail's share."""
        guards = metric in self.rule.guardrails and metric != self.rule.primary
        return self.guard_alpha if guards else self.alpha

    @property
    def last_day(self) -> date:
        """The planned end."""
        return self.first_day + timedelta(days=self.planned_days - 1)

    def day_number(self, day: date) -> int:
        """1 on the first day."""
        return (day - self.first_day).days + 1

    def mixture(self, metric: str, alpha: float) -> Mixture:
        """The always-valid rule of a metric."""
        planned = self.planned_errors.get(metric)
        if planned is not None:
            return always_valid.tuned(planned, alpha, self.planned_days)
        return always_valid.steady(alpha, self.planned_days)
