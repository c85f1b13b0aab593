"""What travels over HTTP, as typed records; the OpenAPI page is drawn from these."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    with_config,
)

from serving.contracts import BehaviorName, Profile, ScenarioName

Id = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Query = Annotated[str, StringConstraints(max_length=1024)]


_EXACT = ConfigDict(extra="forbid", frozen=True)


class _Record(BaseModel):
    model_config = _EXACT


class Asking(_Record):
    """Who asks, when, and what was typed."""

    user_id: Id
    """A user whom nobody knows is answered from what everybody does."""
    ts: AwareDatetime | None = None
    """The moment, with its offset; now, if absent. Only behaviours strictly before it count."""
    scenario: ScenarioName = "unknown"
    query: Query | None = None
    profile: Profile | None = None
    """Profile columns, a null one unknown; the user's known ones, if absent."""


class RankRequest(Asking):
    """Items to be put in order for a user."""

    candidates: list[Id] = Field(min_length=1, fail_fast=True)
    """Item ids; those that nobody knows are scored as items that nobody has met, and come last."""
    top_k: int | None = Field(None, ge=1)
    """Items in the answer; `serve.top_k` of the settings if absent."""
    features: bool = False
    """Whether the answer has each item's ranking features."""
    page: bool = True
    """Whether the answer is shown to the user: it is then logged as an exposure."""


class SearchRequest(Asking):
    """Words, to be answered with items (Figure 1: recall, then rank)."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    scenario: ScenarioName = "search"
    top_k: int | None = Field(None, ge=1)
    features: bool = False
    page: bool = True


@with_config(_EXACT)
@dataclass
class RankedItem:
    """One item of an answer; plain, since an answer may have ten thousand."""

    item_id: str
    rank: int
    """From 1."""
    ctr: float
    """Probability of a click."""
    l2r: float
    """Score of equation (9); the order is by it, with those that nobody knows last."""
    features: dict[str, float] | None = None


class Stamp(_Record):
    """Which model answered."""

    request_id: str
    """Log it with the behaviours that follow, in the raw log that the nights read: it joins them to
    the page that was shown. Live behaviours may carry it; histories do not need it."""
    model_version: str
    line: str
    variant: str
    """The arm that answered: the user's own, or `champion` where no version of that is loaded."""
    representation_version: str


class RankResponse(Stamp):
    """Items, best first."""

    items: list[RankedItem]
    price_preference: list[float]
    """Probabilities of the 7 price levels, cheapest first."""
    recalled: int | None = None
    """Search: how many items the words found."""
    unknown: int = 0
    """Candidates that the version's catalog has not. Their `ctr` is a guess: no item taught it."""


class Behavior(_Record):
    """One thing that a user did, as the raw log has it.

    `request_id` and `price` are taken so that a caller can send the row that it logs. A history has
    no use for them: they count only where the raw log carries them.
    """

    user_id: Id
    item_id: Id
    type: BehaviorName
    scenario: ScenarioName = "unknown"
    ts: AwareDatetime | None = None
    """When it happened, with its offset; now, if absent. Late ones are put in their place; one that
    lies ahead of the service's clock counts for questions of a moment after it."""
    event_id: str = Field("", max_length=256)
    """The sender's id: sent twice, it is taken once."""
    request_id: str | None = Field(None, max_length=256)
    """Of the page that it was done on; not used here."""
    price: float | None = Field(None, ge=0, allow_inf_nan=False)
    """What was paid; not used here."""


class BehaviorsRequest(_Record):
    """Behaviours in the order of their arrival."""

    behaviors: list[Behavior] = Field(min_length=1, max_length=10_000, fail_fast=True)


class BehaviorsResponse(_Record):
    """What became of them."""

    taken: int
    """Those whose `event_id` was not known. It is as long as its row is kept: among a user's newest
    400, and until the night after has carried it. A behaviour from before that is told as taken
    each time it is sent."""
    ahead: int = 0
    """Those of the request, known ones among them, whose `ts` is later than the service's clock:
    questions of now do not see them before that time has come."""


class RepresentationResponse(Stamp):
    """The universal representation of a user."""

    user_id: str
    representation: list[float]
    """[rep_s, u]; 256 numbers in the paper."""
    behaviors: int
    """How many it was made from."""


class PricePreferenceResponse(Stamp):
    """How dear a user likes things."""

    user_id: str
    price_preference: list[float]
    """Probabilities of the 7 price levels, cheapest first."""


class Attended(_Record):
    """One behaviour and its weight."""

    item_id: str | None
    """Null for an item that the catalog does not know."""
    type: BehaviorName
    scenario: ScenarioName
    ts: datetime
    """In UTC."""
    weight: float
    """Attention, equation (7); the weights of a history add up to 1."""


class ExplainResponse(Stamp):
    """Which behaviours the representation rests on, oldest first."""

    user_id: str
    query: str | None
    behaviors: list[Attended]


class Problem(_Record):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
