"""What a caller asks: raw ids and history in, as typed records."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

BehaviorName = Literal["click", "bookmark", "cart", "purchase"]
ScenarioName = Literal["search", "recommend", "ad", "unknown"]


class PastBehavior(BaseModel):
    """One behaviour of the user's history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: str
    type: BehaviorName = "click"
    scenario: ScenarioName = "unknown"
    ts: datetime
    """With a time zone, or UTC."""


class Question(BaseModel):
    """One moment: who, when, what was typed, what may be shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: str = ""
    """Only echoed: the network knows no user ids."""
    ts: datetime
    """The moment. Only behaviours strictly before it count."""
    scenario: ScenarioName = "unknown"
    query: str | None = None
    profile: dict[str, str] = Field(default_factory=dict)
    """Profile columns by name, as in the users table."""
    history: list[PastBehavior] = Field(default_factory=list)
    """In any order; the last 100 before the moment count."""
    candidates: list[str] = Field(default_factory=list)
    """Item ids to score; may be empty."""
