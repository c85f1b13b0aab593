"""How large the simulated marketplace is, and how clean its log (the dials a user may turn).

The laws by which people choose are not here: they are constants of `choice`, `needs` and
`session`, frozen before any model was trained on them (see docs/marketplace.md).
"""

import hashlib

from pydantic import Field, model_validator

from infra.config import Config, incompatible

CATEGORIES_PER_DEPARTMENT = 8


class MarketplaceConfig(Config):
    """Size of the world and quality of its log; presets have sizes of their own."""

    users: int = Field(default=2_500, ge=10)
    """People with an account (about one in eight of them joins after the first day)."""

    items: int = Field(default=6_000, ge=300)
    """Items on sale on the first day; each day about 1 % die and as many are born."""

    categories: int = Field(default=120, ge=8)
    """Leaf categories; departments hold about eight each. At most half as many as items."""

    shops: int = Field(default=400, ge=8)
    """Shops; each sells within one department. At least one for every eight categories."""

    icons: int = Field(default=150, ge=8)
    """Icons (people of taste whom one may follow; FIFP of Section 4.3)."""

    pages_per_day: float = Field(default=5.0, gt=0, le=30)
    """Mean pages a day of a user with an account, before the cap (60 a day) and the clipping of the
    most active. Over all users, some of whom join late, it is less: at 5 from 4.4 on the first day
    to 4.9 a month later, at 30 from 20 to 23."""

    logged_search: float = Field(default=0.7, ge=0, le=1)
    """Share of search pages whose impression is logged; behaviours are logged always."""

    logged_other: float = Field(default=0.15, ge=0, le=1)
    """The same for recommendation and ad pages: shops sample their bulky feeds harder."""

    dirty_share: float = Field(default=0.002, ge=0, le=0.2)
    """Share of behaviour rows to which one broken or repeated row is added."""

    late_share: float = Field(default=0.004, ge=0, le=0.5)
    """Share of behaviour rows that arrive a day late (phones that were offline)."""

    in_shop: float = Field(default=0.0, ge=0, le=1)
    """Share of recommendation pages on which people look around in a shop that they know: that of
    their last click or of a late purchase. The worlds of docs/results have none."""

    parts: int = Field(default=4, ge=1)
    """Files a table of a day is split into, as collectors on several machines would."""

    @model_validator(mode="after")
    def _every_department_sells_something(self) -> "MarketplaceConfig":
        if self.shops < self.departments:
            raise incompatible(
                "marketplace.shops are fewer than the departments, one for every eight of "
                "marketplace.categories, and each sells within one: set more shops, or fewer "
                "categories"
            )
        if self.items < 2 * self.categories:  # with one a category, there are empty departments
            raise incompatible(
                "marketplace.items are fewer than two for each of marketplace.categories, so that "
                "pages would be empty: set more items, or fewer categories"
            )
        return self

    @property
    def departments(self) -> int:
        """How many there are: groups of categories."""
        return max(2, self.categories // CATEGORIES_PER_DEPARTMENT)

    def digest(self) -> str:
        """As of old where nobody looks around in shops: days of before are gone on with."""
        if self.in_shop:
            return super().digest()
        return hashlib.sha256(self.model_dump_json(exclude={"in_shop"}).encode()).hexdigest()[:12]
