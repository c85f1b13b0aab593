"""Expected effects: hand-made answers, and what happens scatters around them."""

import numpy as np
import pytest

from evaluation.marketplace.arms import Arm, Split, Stamp
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.day import DayLog
from evaluation.marketplace.effects import Effects
from evaluation.marketplace.play import Marketplace, play
from evaluation.marketplace.policies import WIDEST
from tests.evaluation.marketplace.conftest import FIRST
from tests.evaluation.marketplace.test_arms import Numbers

CONFIG = MarketplaceConfig(users=1500, items=1200, categories=32, shops=40, icons=40)


@pytest.fixture(scope="module")
def effects() -> Effects:
    market = Marketplace.build(CONFIG, seed=2)
    return play(market, market.eve(), FIRST).effects


def one_page() -> DayLog:
    """User 1 sees items 0 and 1 (click 0.5 and 0.2 when seen; bought 0.1 and 0.4 when clicked)."""
    wide = {name: np.zeros((1, WIDEST)) for name in ("click", "buy")}
    wide["click"][0, :3], wide["buy"][0, :3] = (0.5, 0.2, 0.9), (0.1, 0.4, 0.9)
    item = np.zeros((1, WIDEST), np.int32)
    item[0, 1] = 1
    level = np.where(item == 1, 6, 2).astype(np.int8)
    page = {"user": np.array([1]), "size": np.array([2]), "item": item, "level": level, **wide}
    page["price_level"] = np.array([2], np.int8)
    bought = {"page": np.array([0, 0, -1]), "user": np.ones(3, np.int64), "item": np.array([1] * 3),
              "type": np.array([1, 4, 4], np.int8)}  # fmt: skip
    return DayLog(pages=[page], actions=[bought], num_pages=1)


def test_a_page_by_hand():
    class TwoItems:
        price = np.array([10.0, 100.0], np.float32)

    found = Effects.none(3)
    found.add(one_page(), TwoItems)
    look = 1 / 1.06
    expected = {"pages": 1, "shown": 2, "clicks": 0.5 + 0.2 * look,
                "orders": 0.05 + 0.08 * look, "sales": 0.5 + 8 * look,
                "clicked": 1, "ordered": 1, "sold": 100}  # fmt: skip
    for name, value in expected.items():
        assert found.by_user[name] == pytest.approx([0, value, 0]), name
    assert found.bought[0, 2, [2, 6]] == pytest.approx([0.05, 0.08 * look])
    assert found.bought.sum() == pytest.approx(0.05 + 0.08 * look)


def test_what_happens_scatters_around_what_is_expected(effects: Effects):
    total = {name: values.sum() for name, values in effects.by_user.items()}
    assert total["clicked"] == pytest.approx(total["clicks"], abs=4 * np.sqrt(total["clicks"]))
    assert total["ordered"] == pytest.approx(total["orders"], abs=4 * np.sqrt(total["orders"]))
    assert total["sold"] == pytest.approx(total["sales"], rel=0.25)


def test_a_price_level_is_right_as_often_as_that_level_is_bought():
    market = Marketplace.build(CONFIG, seed=2)
    stamp = Stamp(variant="model")
    split = Split.of(np.zeros(CONFIG.users, np.int8), [Arm(stamp, lambda _: Numbers())])
    found = play(market, market.eve(), FIRST, split, [stamp]).effects
    assert found.bought[0, 3, 3] == pytest.approx(found.by_user["orders"].sum())
    assert np.delete(found.bought[0].ravel(), 3 * 8 + 3).sum() == 0
