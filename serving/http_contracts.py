"""What travels over HTTP, as typed records; the OpenAPI page is drawn from these.

The text under a field is its description there. A value is of its type or refused: `"no"` is no
`false`, and decides nothing. Only a time may be written in several ways.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StringConstraints,
    WithJsonSchema,
    with_config,
)

from serving.contracts import BehaviorName, Profile, ScenarioName, of_milliseconds

Id = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Query = Annotated[str, StringConstraints(max_length=1024)]
Count = Annotated[int, Field(strict=True, ge=1)]
Price = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Time = Annotated[
    AwareDatetime | None,
    BeforeValidator(of_milliseconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number"},
                {"type": "null"},
            ]
        }
    ),
]
"""ISO 8601 with an offset, or a number since 1970."""


_EXACT = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class _Record(BaseModel):
    model_config = _EXACT


class Asking(_Record):
    """Who asks, when, and what was typed."""

    user_id: Id
    """A user whom nobody knows is answered from what everybody does."""
    ts: Time = None
    """The moment, in ISO 8601 with its offset, or as a number since 1970 UTC (as a text, too):
    seconds, or milliseconds where it is over 20,000,000,000. Null or absent: now. Only behaviours
    strictly before it count."""
    scenario: ScenarioName = "unknown"
    """Where the user is. A page that is shown is logged with it; no score hangs on it."""
    query: Query | None = None
    """The words that were typed. Null or absent: none."""
    profile: Profile | None = None
    """Profile columns by name, a null one unknown. Null or absent: what is known of the user."""


class RankRequest(Asking):
    """Items to be put in order for a user."""

    candidates: list[Id] = Field(min_length=1, fail_fast=True)
    """Item ids; those that nobody knows are scored as items that nobody has met, and come last. One
    that stands there twice counts once, where it is first."""
    top_k: Count | None = None
    """Items in the answer at most. Null or absent: `serve.top_k` of the settings."""
    features: StrictBool = False
    """Whether the answer has each item's ranking features."""
    page: StrictBool = True
    """Whether the answer is shown to the user: it is then logged as an exposure."""


class SearchRequest(Asking):
    """Words, to be answered with items (Figure 1: recall, then rank)."""

    query: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """The words; an item is found if its title has one of them."""
    scenario: ScenarioName = "search"
    """Where the user is. A page that is shown is logged with it; no score hangs on it."""
    top_k: Count | None = None
    """Items in the answer at most. Null or absent: `serve.top_k` of the settings."""
    features: StrictBool = False
    """Whether the answer has each item's ranking features."""
    page: StrictBool = True
    """Whether the answer is shown to the user: it is then logged as an exposure."""


@with_config(_EXACT)
@dataclass
class RankedItem:
    """One item of an answer; plain, since an answer may have ten thousand."""

    item_id: str
    """As it was asked for, or as the catalog has it."""
    rank: int
    """From 1."""
    ctr: float
    """Probability of a click."""
    l2r: float
    """Score of equation (9); the order is by it, with those that nobody knows last."""
    features: dict[str, float] | None = None
    """Ranking features by name. Null where they were not asked for."""


class Stamp(_Record):
    """Which model answered."""

    request_id: str
    """Log it with the behaviours that follow, in the raw log that the nights read: it joins them to
    the page that was shown. Live behaviours may carry it; histories do not need it."""
    model_version: str
    """Of the registered model; the run key where no registry is asked."""
    line: str
    """The line of models that the version is of; empty where nobody knows it."""
    variant: str
    """The arm that answered: the user's own, or `champion` where no version of that is loaded."""
    representation_version: str
    """Representations of one version may be compared with each other, those of two may not."""


class RankResponse(Stamp):
    """Items, best first."""

    items: list[RankedItem]
    """As many as `top_k` says, or as there are."""
    price_preference: list[float]
    """Probabilities of the 7 price levels, cheapest first."""
    recalled: int | None = None
    """Search: how many items that the words found were ranked, at most `serve.recall`. Null of an
    answer to `/v1/rank`."""
    unknown: int = 0
    """Candidates that the version's catalog has not, each once. Their `ctr` is a guess: no item
    taught it."""


class Behavior(_Record):
    """One thing that a user did, as the raw log has it.

    `request_id` and `price` are taken so that a caller can send the row that it logs. A history has
    no use for them: they count only where the raw log carries them.
    """

    user_id: Id
    """Who did it; a user whom nobody knows is one from then on."""
    item_id: Id
    """What it was done to; an item that the catalog has not counts as an unknown one."""
    type: BehaviorName
    """What was done."""
    scenario: ScenarioName = "unknown"
    """Where it was done."""
    ts: Time = None
    """When it happened, in ISO 8601 with its offset, or as a number since 1970 UTC (as a text,
    too): seconds, or milliseconds where it is over 20,000,000,000. Null or absent: now. Late ones
    are put in their place; one that lies ahead of the service's clock counts for questions of a
    moment after it."""
    event_id: str = Field("", max_length=256)
    """The sender's id: sent twice, it is taken once. Empty: none, so it is taken each time."""
    request_id: str | None = Field(None, max_length=256)
    """Of the page that it was done on; not used here. Null: of none."""
    price: Price | None = None
    """What was paid; not used here. Null: not known."""


class BehaviorsRequest(_Record):
    """Behaviours in the order of their arrival."""

    behaviors: list[Behavior] = Field(min_length=1, max_length=10_000, fail_fast=True)
    """All of them are taken, or none."""


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
    """As it was asked for."""
    representation: list[float]
    """[rep_s, u]; 256 numbers in the paper."""
    behaviors: int
    """How many it was made from, 100 at most."""


class PricePreferenceResponse(Stamp):
    """How dear a user likes things."""

    user_id: str
    """As it was asked for."""
    price_preference: list[float]
    """Probabilities of the 7 price levels, cheapest first."""


class Attended(_Record):
    """One behaviour and its weight."""

    item_id: str | None
    """Null for an item that the catalog does not know."""
    type: BehaviorName
    """What was done."""
    scenario: ScenarioName
    """Where it was done."""
    ts: datetime
    """In UTC."""
    weight: float
    """Attention, equation (7); the weights of a history add up to 1."""


class ExplainResponse(Stamp):
    """Which behaviours the representation rests on, oldest first."""

    user_id: str
    """As it was asked for."""
    query: str | None
    """As it was asked for. Null: no words."""
    behaviors: list[Attended]
    """The last 100 before the moment, at most."""


class Alive(_Record):
    """The process answers."""

    status: Literal["alive"] = "alive"
    """Always this word."""


class Arm(_Record):
    """The version that answers for an arm."""

    version: str
    """Of the registered model; the run key where no registry is asked."""
    line: str
    """The line of models that it is of; empty where nobody knows it."""
    run: str
    """Key of the run that trained it; empty where nobody knows it."""


class Readiness(_Record):
    """What is loaded, and what is wrong."""

    status: str
    """`ready` (200), or what is missing (503)."""
    arms: dict[str, Arm]
    """What answers, by arm; the champion's answers for an arm that is not here."""
    refused: dict[str, str]
    """Versions that are not taken over, and why."""
    missing: tuple[str, ...]
    """Arms that name no version."""
    registry: str
    """Since when the registry is not read, and why; empty where it was at the last look."""
    histories: str
    """Since when the histories are not read or written, and why; empty where they were at last."""


class Problem(_Record):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    """Always this: a problem is what its status says, and no kind of its own."""
    title: str
    """The status in words."""
    status: int
    """The status of the answer."""
    detail: str
    """What is wrong, where, and what to do."""
