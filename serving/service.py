"""What the service answers, without HTTP: typed requests in, typed answers out.

Unknown users, unknown items, empty histories and unknown words are answered from what is known.
"""

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.ranking import NAMES
from features.schemas import BehaviorType, Scenario
from infra.errors import InputError, ServingUnavailable
from serving import meters
from serving.contracts import milliseconds
from serving.exposures import DAYS_AHEAD, ExposureLog
from serving.histories import Histories, LiveBehavior
from serving.http_contracts import (
    Asking,
    Attended,
    Behavior,
    BehaviorsResponse,
    ExplainResponse,
    PricePreferenceResponse,
    RankedItem,
    RankRequest,
    RankResponse,
    RepresentationResponse,
    SearchRequest,
)
from serving.outages import READ, WRITTEN, Outages
from serving.ranker import Moment, order_of, order_of_named
from serving.served import hashes_of
from serving.settings import ServeConfig
from serving.shown import Chosen, Page, exposure
from serving.snapshot import Past
from serving.splitting import Splitting
from serving.versions import CHAMPION, Versions

FIRST = milliseconds(datetime.min.replace(tzinfo=UTC))
"""The first moment that can be told in UTC; a `ts` in a zone east of it may lie before."""


class Service:
    """Answers; may be called from several threads."""

    def __init__(
        self,
        versions: Versions,
        histories: Histories,
        config: ServeConfig,
        exposures: ExposureLog | None,
        splitting: Splitting | None = None,
    ) -> None:
        self.versions = versions
        self.splitting = splitting or Splitting(config)
        self.histories = histories
        self.outages = Outages()
        self.config = config
        self.exposures = exposures

    def rank(self, request: RankRequest, came: float | None = None) -> RankResponse:
        """The candidates, best first; one that is named twice is one.

        Args:
            request: who asks, and the candidates.
            came: when the request came in, as `time.perf_counter` tells it; now, if absent.

        Raises:
            InputError: there are too many, or it is a page of a day that no night will read.
        """
        came = time.perf_counter() if came is None else came
        self.require_day(request, log=request.page)
        self._require_few(len(request.candidates))  # before they are looked up
        chosen = self.choose(request.user_id)
        named = hashes_of(request.candidates)
        rows = chosen.served.rows_of_hashes(named)
        page = self.page(request, chosen, rows, request.top_k, named)
        shown = [request.candidates[i] for i in page.order]
        return self._response(request, page, shown, came)

    def search(self, request: SearchRequest, came: float | None = None) -> RankResponse:
        """Items whose titles hold the words, best first.

        Args:
            request: who asks, and the words.
            came: as in `rank`.

        Raises:
            InputError: it is a page of a day that no night will read.
        """
        came = time.perf_counter() if came is None else came
        self.require_day(request, log=request.page)
        chosen = self.choose(request.user_id)
        rows = chosen.served.recall.search(request.query, self.config.recall)
        page = self.page(request, chosen, rows, request.top_k)
        shown = chosen.served.ids.take(pa.array(rows[page.order])).to_pylist()
        found = self._response(request, page, shown, came)
        return found.model_copy(update={"recalled": len(rows)})

    def page(
        self,
        asking: Asking,
        chosen: Chosen,
        rows: NDArray[np.int32],
        top: int | None,
        named: NDArray[np.uint64] | None = None,
    ) -> Page:
        """Score candidates (catalog rows).

        Args:
            asking: who asks.
            chosen: the version that answers.
            rows: of the candidates.
            top: how many are shown; `serve.top_k` by default.
            named: hashes of their ids, by which each is shown once; rows alone are as they come.

        Raises:
            InputError: there are more of them than the setting allows.
        """
        self._require_few(len(rows))
        moment, _ = self._moment(asking, chosen)
        answered = chosen.served.answer(moment, rows)
        known = chosen.served.is_item(rows)
        unknown = int(np.count_nonzero(~known))
        meters.CANDIDATES.inc(len(rows))
        meters.UNKNOWN.inc(unknown)
        scores = answered.ranked.l2r
        if unknown:  # behind the others: no score of theirs was learnt
            scores = np.where(known, scores, -np.inf)
            unknown = unknown if named is None else len(np.unique(named[~known]))
        top = top or self.config.top_k
        order = order_of(scores, top) if named is None else order_of_named(scores, top, named)
        return Page(uuid.uuid4().hex, chosen, moment.ts, rows, order, answered, unknown)

    def require_day(self, asking: Asking, *, log: bool) -> None:
        """Refuse a page that is to be logged, and that no night will read.

        Raises:
            InputError: naming the days that are taken.
        """
        if log and self.exposures is not None:
            now = _now()
            ts = now if asking.ts is None else milliseconds(asking.ts)
            self.exposures.require(ts, self.histories.day, now)

    def log(self, asking: Asking, page: Page, item_ids: Sequence[str], came: float) -> None:
        """Log a page that its user sees; one without an item is none.

        Args:
            asking: who asks.
            page: what is answered.
            item_ids: of the page, in the caller's words, best first.
            came: as in `rank`.
        """
        if self.exposures is None or not item_ids:
            return
        latency = 1000 * (time.perf_counter() - came)
        noted = self.exposures.add(exposure(asking, page, item_ids, latency))
        meters.LOST.inc(0 if noted else 1)

    def add(self, behaviors: Sequence[Behavior]) -> BehaviorsResponse:
        """Take behaviours in.

        Raises:
            InputError: one is of a time that is too far ahead, or never was; none is taken.
        """
        heard = _now()
        self._require_past(behaviors)
        times = [heard if b.ts is None else milliseconds(b.ts) for b in behaviors]
        given = [
            LiveBehavior(
                user_id=b.user_id,
                item_id=b.item_id,
                type=int(BehaviorType[b.type.upper()]),  # a client writes a member's name
                scenario=int(Scenario[b.scenario.upper()]),
                ts=ts,
                event_id=b.event_id,
                dated=b.ts is not None,
            )
            for b, ts in zip(behaviors, times, strict=True)
        ]
        with self.outages.watch(WRITTEN):
            taken = self.histories.add(given)
        ahead = sum(ts > heard for ts in times)
        meters.AHEAD.inc(ahead)
        return BehaviorsResponse(taken=taken, ahead=ahead)

    def represent(self, asking: Asking) -> RepresentationResponse:
        """The 256 numbers."""
        chosen = self.choose(asking.user_id)
        moment, _ = self._moment(asking, chosen)
        heard = chosen.served.ranker.hear(moment)
        return RepresentationResponse(
            **self.stamp(chosen),
            user_id=asking.user_id,
            representation=heard.representation.astype(float).tolist(),
            behaviors=len(moment.history.item),
        )

    def prefer(self, asking: Asking) -> PricePreferenceResponse:
        """Probabilities of the price levels."""
        chosen = self.choose(asking.user_id)
        heard = chosen.served.ranker.hear(self._moment(asking, chosen)[0])
        return PricePreferenceResponse(
            **self.stamp(chosen),
            user_id=asking.user_id,
            price_preference=heard.price_preference.astype(float).tolist(),
        )

    def explain(self, asking: Asking) -> ExplainResponse:
        """Attention per behaviour, under the query."""
        chosen = self.choose(asking.user_id)
        moment, past = self._moment(asking, chosen)
        weights = chosen.served.ranker.hear(moment).attention
        ids = chosen.served.ids.take(pa.array(moment.history.item)).to_pylist()
        attended = [
            Attended(
                item_id=item,
                type=BehaviorType(kind).name.lower(),
                scenario=Scenario(scenario).name.lower(),
                ts=datetime.fromtimestamp(ts / 1000, UTC),
                weight=weight,
            )
            for item, kind, scenario, ts, weight in zip(
                ids,
                past.type.tolist(),
                past.scenario.tolist(),
                past.ts.tolist(),
                weights.astype(float).tolist(),
                strict=True,
            )  # a hundred at most
        ]
        return ExplainResponse(
            **self.stamp(chosen), user_id=asking.user_id, query=asking.query, behaviors=attended
        )

    def choose(self, user_id: str) -> Chosen:
        """The version that answers a user, by the stable hash of the user and the salt.

        Where the user's arm is not loaded it is the champion's, and the answer says so: a page
        that carries the name of an arm was made by it.

        Raises:
            ServingUnavailable: neither is loaded.
        """
        own = self.splitting.variant(user_id)  # first: a split comes after the versions of its arms
        served = self.versions.served
        variant = own if own in served else CHAMPION
        if variant not in served:
            arms = " or ".join(dict.fromkeys((own, CHAMPION)))
            raise ServingUnavailable(f"no version of {arms} is loaded. Ask /readyz.")
        return Chosen(served[variant], variant)

    @property
    def ready(self) -> bool:
        """Whether every user is answered."""
        arms = set(self.splitting.now.shares)
        return CHAMPION in self.versions.served or arms <= set(self.versions.served)

    def stamp(self, chosen: Chosen, request_id: str = "") -> dict[str, Any]:
        """What every answer says of the model."""
        name = chosen.served.name
        return {
            "request_id": request_id or uuid.uuid4().hex,
            "model_version": name.version,
            "line": name.line,
            "variant": chosen.variant,
            "representation_version": name.representation,
        }

    def _require_past(self, behaviors: Sequence[Behavior]) -> None:
        """Of a user's live behaviours the newest are kept: wrong ones would push out the true."""
        # A marketplace may live in days of its own: the newest night's, or today.
        night = datetime.combine(self.histories.day, datetime.max.time(), UTC)
        last = milliseconds(max(datetime.now(UTC), night) + timedelta(days=DAYS_AHEAD))
        for place, behavior in enumerate(behaviors):
            ts = last if behavior.ts is None else milliseconds(behavior.ts)
            if not FIRST <= ts <= last:
                ahead = f"more than {DAYS_AHEAD} days ahead"
                where = ahead if ts > last else "before the year 1 in UTC"
                raise InputError(
                    f"behaviors.{place}.ts: {behavior.ts} lies {where}. "
                    "Send the time at which it happened."
                )

    def _require_few(self, candidates: int) -> None:
        if candidates > self.config.max_candidates:
            raise InputError(
                f"{candidates:,} candidates are too many. Send at most "
                f"{self.config.max_candidates:,} (serve.max_candidates)."
            )

    def _moment(self, asking: Asking, chosen: Chosen) -> tuple[Moment, Past]:
        """The user's moment, and the behaviours that it rests on."""
        served = chosen.served
        # What was heard in this very millisecond was before it: a history ends strictly before.
        ts = _now() + 1 if asking.ts is None else milliseconds(asking.ts)
        with self.outages.watch(READ):
            past = self.histories.before(asking.user_id, ts)
            if asking.profile is None:
                profile = self.histories.profile(asking.user_id, served.profile_columns)
            else:
                profile = served.profile_rows(asking.profile)
        return served.moment(ts, past, asking.query, profile), past

    def _response(
        self, request: RankRequest | SearchRequest, page: Page, shown: Sequence[str], came: float
    ) -> RankResponse:
        named: Sequence[dict[str, float] | None] = [None] * len(shown)
        if request.features:
            table = page.ranked.features[page.order].astype(float).tolist()
            named = [dict(zip(NAMES, row, strict=True)) for row in table]  # the answer's own items
        items = [
            RankedItem(item_id=item, rank=rank, ctr=c, l2r=s, features=f)
            for rank, (item, c, s, f) in enumerate(
                zip(shown, page.ctr, page.l2r, named, strict=True), start=1
            )
        ]
        if request.page:
            self.log(request, page, shown, came)
        stamp = self.stamp(page.chosen, page.request_id)
        return RankResponse.model_construct(
            **stamp,
            items=items,
            price_preference=page.price_preference,
            recalled=None,
            unknown=page.unknown,
        )


def _now() -> int:
    """The millisecond that runs, in UTC."""
    return milliseconds(datetime.now(UTC))
