"""Whether the experiment itself can be trusted, before any effect is believed.

A sample-ratio mismatch (more users in an arm than its share says) means that users got lost or
moved on the way, and users do not get lost at random: Fabijan et al., KDD 2019. The chi-square
test is right for one look. Looked at daily it raises more false alarms than its alpha; the anytime
test (Lindon, Malek: Anytime-valid inference for multinomial count data, 2022) does not: the
likelihood of the counts under a Dirichlet law of shares over that under the planned ones is a
martingale in the order in which users come, and is ever above 1/alpha with chance alpha at most.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import gammaln
from scipy.stats import chisquare

from evaluation.abtest.always_valid import steady
from evaluation.abtest.effect import FEWEST, compare
from evaluation.abtest.ratios import PRE
from evaluation.abtest.sufficient import Users
from evaluation.gate import Check
from evaluation.metrics import AnyArray, Floats

PRIOR = 1_000.0
"""Weight in users of the Dirichlet law around the planned shares. Sharpest at 17 times as many
users (for alpha 0.001); from 3,000 users to a million it stays within 8 % of what is possible."""
SRM = "sample ratio"


def chi_square_p(counts: AnyArray, shares: Sequence[float]) -> Floats:
    """The p of the counts under the shares, looked at once; 1 for nobody.

    Args:
        counts: users of each arm along the last axis; other axes are answered one by one.
        shares: planned, of each arm.
    """
    seen, planned = np.asarray(counts, np.float64), np.asarray(shares, np.float64)
    total = seen.sum(-1, keepdims=True)
    expected = planned / planned.sum() * np.maximum(total, 1.0)
    p = chisquare(np.where(total > 0, seen, expected), expected, axis=-1).pvalue
    return np.asarray(p, np.float64)


def anytime_p(counts: AnyArray, shares: Sequence[float], prior: float = PRIOR) -> Floats:
    """The p of the counts under the shares, valid however often it is looked at.

    Args:
        counts: as for `chi_square_p`.
        shares: planned, of each arm.
        prior: see `PRIOR`.
    """
    seen = np.asarray(counts, np.float64)
    planned = np.asarray(shares, np.float64) / np.sum(shares)
    a, total = prior * planned, seen.sum(-1)
    mixed = gammaln(prior) - gammaln(prior + total) + (gammaln(a + seen) - gammaln(a)).sum(-1)
    return np.asarray(np.exp(np.minimum((seen * np.log(planned)).sum(-1) - mixed, 0.0)))


def sample_ratio(counts: Mapping[str, int], shares: Mapping[str, float], alpha: float) -> Check:
    """The mismatch check of a daily look: the anytime test decides, chi-square stands beside it.

    Args:
        counts: arm -> users.
        shares: arm -> planned share of the users.
        alpha: chance of ever crying wolf (0.001 is usual).
    """
    seen = np.array([counts.get(arm, 0) for arm in shares])
    planned = list(shares.values())
    daily, once = float(anytime_p(seen, planned)), float(chi_square_p(seen, planned))
    total = max(int(seen.sum()), 1)
    said = ", ".join(
        f"{arm} {count:,} ({count / total:.1%}, planned {share:g}%)"
        for arm, count, share in zip(
            shares, seen, 100 * np.asarray(planned) / np.sum(planned), strict=True
        )
    )
    found = f"users of the arms: {said}; p {daily:.2g} at any look, {once:.2g} at one"
    if daily >= alpha:
        return Check(name=SRM, passed=True, sentence=f"{found}.")
    return Check(
        name=SRM,
        passed=False,
        sentence=f"{found}: users are missing or moved. Look for what loses them; start anew.",
    )


def multiple_exposure(several: int, users: int, most: float) -> Check:
    """Users who were shown more than one arm; they are left out of all estimates.

    Args:
        several: how many.
        users: shown one arm only.
        most: largest share of all that is tolerated.
    """
    share = several / max(several + users, 1)
    said = f"{several:,} users ({_percent(share)}) saw several arms"
    return _at_most("multiple exposure", share, most, said)


def unknown_arms(unknown_rows: int, rows: int, most: float) -> Check:
    """Exposures logged with an arm that the experiment does not have."""
    share = unknown_rows / max(rows, 1)
    said = f"{unknown_rows:,} rows ({_percent(share)}) are of unknown arms"
    return _at_most("logged arms", share, most, said)


def _at_most(name: str, share: float, most: float, said: str) -> Check:
    verb = "at most" if share <= most else "more than the"
    sentence = f"{said}, {verb} {_percent(most)} allowed."
    return Check(name=name, passed=share <= most, sentence=sentence)


def _percent(share: float) -> str:
    """With the digits that tell it from a limit that it is just above: `0.08%`."""
    return f"{100 * share:g}%"


def logging(broken: Sequence[str]) -> Check:
    """What others found wrong with the log (a sentence each), as one check."""
    if not broken:
        return Check(
            name="logging", passed=True, sentence="nothing is known to be wrong in the log."
        )
    return Check(name="logging", passed=False, sentence=" ".join(broken))


def pre_period(users: Users, alpha: float, looks: int) -> Check:
    """Before the experiment the arms must not differ: the same statistics on the days before.

    Bonferroni over the metrics, and an always-valid p, as it is looked at daily.
    """
    found, few = {}, False
    for metric in PRE.values():
        effect = compare(users, metric, steady(alpha, looks), adjusted=False)
        few = min(effect.users) < FEWEST
        if effect.p_always is not None:
            found[metric.title] = min(1.0, effect.p_always * len(PRE))
    if not found:
        told = "there is no pre-period to compare the arms in."
        if few:
            told = f"there are fewer than {FEWEST} users in an arm to compare."
        elif users.pre_impressions.any():
            told = "too few users did anything in the pre-period to compare the arms by."
        return Check(name="pre-period", passed=None, sentence=told)
    said = ", ".join(f"{title} (p {p:.2g})" for title, p in found.items())
    passed = min(found.values()) >= alpha
    verb = "did not differ" if passed else "differed before the experiment began"
    return Check(name="pre-period", passed=passed, sentence=f"the arms {verb}: {said}.")
