"""Read-out tables made up for tests."""

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa

from evaluation.abtest.sufficient import READOUT

FIRST = date(2026, 3, 2)
ARMS = ("old", "new")


def readout(users=2000, days=3, seed=0, effect=0.0, shares=(0.5, 0.5)):
    """Users who return, differ for good, and mostly have a pre-period; `effect` is on clicks."""
    rng = np.random.default_rng(seed)
    arm = (rng.random(users) >= shares[0]).astype(int)
    activity, taste = rng.lognormal(0, 0.8, (2, users))
    old = rng.random(users) < 0.8

    def lived(n, lift):
        shown = 10 * rng.poisson(2 * activity[n])
        clicks = rng.binomial(shown, np.minimum(0.05 * taste[n] * lift, 0.9))
        orders = rng.binomial(clicks, 0.2)
        return shown, clicks, orders, orders * rng.lognormal(3, 1, len(n))

    everyone = np.arange(users)
    before = lived(np.tile(everyone, 3), 1.0)
    pre = [column.reshape(3, users).sum(0) * old for column in before]
    user = np.tile(everyone, days)
    shown, clicks, orders, sales = lived(user, np.where(arm[user] == 1, 1 + effect, 1.0))
    asked = np.minimum(orders, 1)
    columns = {
        "user": user.astype(np.uint64) * 7 + 1,
        "arm": np.array(ARMS)[arm[user]],
        "day": np.repeat(np.array(FIRST, "datetime64[D]") + np.arange(days), users),
        "pages": shown // 10,
        "impressions": shown,
        "clicks": clicks,
        "orders": orders,
        "sales": sales,
        "ppp_asked": asked,
        "ppp_right": rng.binomial(asked, 0.4),
        "pre_impressions": pre[0][user],
        "pre_clicks": pre[1][user],
        "pre_orders": pre[2][user],
        "pre_sales": pre[3][user].astype(float),
        "seen_before": old[user],
    }
    table = pa.table({f.name: pa.array(columns[f.name], f.type) for f in READOUT})
    return table.filter(pa.array(shown > 0))


def sized(users, control, treated):
    """The first users, so many in each arm."""
    some = users.take(np.arange(control + treated))
    return replace(some, arm=(np.arange(control + treated) >= control).astype(np.int8))
