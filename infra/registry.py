"""The MLflow registry, moved through the ledger: register, promote, and obey whoever else moves.

Aliases: `champion` (the line in production), `challenger` (the rival line's newest), `previous`
(whom a rollback goes to). A person may move one in the MLflow UI: `look()` notices, obeys and
enters it; or delete a version: no move goes to it, and none that was cut off on its way is made.

infra.ledger: what was decided, entry by entry
infra.registered: what MLflow has
infra.succession: who is champion after whom, read off both and nothing moved
infra.homes: whose a version is; no alias may name one of another home
pipeline.release.incumbent: whom tonight's candidate is held against
pipeline.release.standing: moves by hand, and who is champion and why
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from infra import succession
from infra.errors import RegistryError
from infra.homes import OwnVersions
from infra.ledger import Entry, Ledger, LedgerTaken
from infra.mlflow_client import Refused
from infra.registered import ALIASES, MODEL, Version, VersionGone
from infra.store import Store
from infra.succession import OBSERVED, ROLLBACK, before, crowned, is_it, left, rolled_back

__all__ = ["ALIASES", "MODEL", "Registry", "Version", "VersionGone", "crowned"]

logger = logging.getLogger(__name__)

LOOKS = 5
"""Times that a look is repeated when somebody else enters a move meanwhile."""


class Registry(OwnVersions):
    """Registered model `dupn` on a tracking server, and the ledger of its moves.

    Args:
        uri: the MLflow tracking URI (absolute).
        store: where the ledger lies.
        follow: called, perhaps twice, with the ledger up to an entry once the aliases are as that
            says; it is done after that.
    """

    def __init__(
        self,
        uri: str,
        store: Store,
        follow: Callable[[Sequence[Entry]], object] = lambda entries: None,
    ) -> None:
        super().__init__(uri, store)
        self.ledger, self.follow = Ledger(store), follow

    def promote(
        self, number: str, why: str, who: str = "dupn", after: Sequence[Entry] | None = None
    ) -> Entry:
        """Make a version champion, the old champion `previous` (unless it is the same model).

        Args:
            number: of the version.
            why: a sentence for the ledger.
            who: moves it.
            after: the ledger on which the decision rests; as it is now when absent. Had another
                move come in between, this one loses.

        Raises:
            RegistryError: there is no such version, or another promotion came first.
        """
        version = self.found(number)
        entries = self.look() if after is None else list(after)
        now = dict(entries[-1].aliases) if entries else {}
        if now.get("champion") == version.number:
            logger.info("version %s is champion already", version.number)
            return entries[-1]
        served = entries[-1].facts.get("run_id") if entries else None
        again = served is not None and version.run_id == served
        aliases = crowned(now, version.number, again=again)
        return self.move(entries, "promote", aliases, why, who)

    def challenge(
        self, number: str, why: str, who: str = "dupn", after: Sequence[Entry] | None = None
    ) -> Entry:
        """Make a version the rival line's newest; the champion stays.

        Args:
            number: of the version.
            why: a sentence for the ledger.
            who: moves it.
            after: as of `promote`.

        Raises:
            RegistryError: there is no such version, or another move came first.
        """
        version = self.found(number)
        entries = self.look() if after is None else list(after)
        now = dict(entries[-1].aliases) if entries else {}
        if now.get("challenger") == version.number:
            logger.info("version %s is challenger already", version.number)
            return entries[-1]
        return self.move(entries, "challenge", {**now, "challenger": version.number}, why, who)

    def rollback(
        self, why: str, who: str = "dupn", ready: Callable[[str], object] = lambda number: None
    ) -> Entry:
        """Make who was champion before champion again; each goes one further than the last.

        Whom a rollback left is passed over by later ones, until somebody makes it champion again;
        `previous` is whom the next one goes to. One that was cut off is finished instead, and one
        that the caller has not ended (`Ledger.end`) is told again: a second one would go further.

        Args:
            why: a sentence for the ledger.
            who: moves it.
            ready: called with the version that it goes to, before an alias moves there.

        Raises:
            RegistryError: nobody is further back, or another move came first.
        """
        last = self.ledger.entries()[-1:]
        cut_off = next((one for one in last if one.action == ROLLBACK and not one.ended), None)
        if cut_off is not None and not cut_off.done:
            ready(cut_off.aliases["champion"])
        entries = self.look()
        if cut_off is not None:
            mine = entries[cut_off.number - 1]
            overtaken = cut_off.done and len(entries) > cut_off.number
            there = entries[-1].aliases.get("champion") == mine.aliases["champion"]
            if there if mine.given_up else not overtaken:
                return mine
        number = self._before(entries)
        ready(number)
        now = self.look()
        if len(now) > len(entries):
            raise LedgerTaken(
                f"ledger entry {now[-1].number} ({now[-1].action}: {now[-1].why}) came while a "
                f"rollback to version {number} of {MODEL} was made ready, which moved nothing. "
                f"{_AGAIN}"
            )
        further = self._further(entries, number)
        return self.move(entries, ROLLBACK, rolled_back(now[-1].aliases, number, further), why, who)

    def _before(self, entries: Sequence[Entry]) -> str:
        """Whom a rollback goes to."""
        were = before(entries)
        if number := self._first(entries, were):
            return number
        gone = {"left by a rollback": left(entries), "deleted in MLflow": were}
        told = [f"version {', '.join(which)}: {how}" for how, which in gone.items() if which]
        passed_over = f" ({'; '.join(told)})" if told else ""
        raise RegistryError(
            f"there is no previous champion to roll back to{passed_over}. Look at `dupn log`, and "
            "name the version that shall be champion: `dupn promote --version N --why ...`."
        )

    def _further(self, entries: Sequence[Entry], number: str) -> str:
        """Whom a rollback after one to that version goes to; empty: nobody."""
        made = Entry(
            number=len(entries) + 1,
            action=ROLLBACK,
            aliases=rolled_back(entries[-1].aliases, number),
            why="",
            who="",
            at="",
            facts=self.facts({"champion": number}),
        )
        return self._first(entries, before([*entries, made]))

    def _first(self, entries: Sequence[Entry], numbers: Sequence[str]) -> str:
        """The first that is there, and is who the entries have; empty: none."""
        for number in numbers:
            version = self.version(number)
            if version is not None and is_it(entries, number, version.tags.get("run_key", "")):
                return number
        return ""

    def look(self) -> list[Entry]:
        """The ledger, after finishing a move that was cut off and entering moves made elsewhere.

        Raises:
            RegistryError: others moved the aliases again and again meanwhile; the server is another
                than the ledger's; or an alias names a version of another home.
        """
        for _ in range(LOOKS - 1):
            try:
                return self._look()
            except LedgerTaken:
                logger.info("somebody else moved an alias at the same time: looking again")
        return self._look()

    def champion(self) -> Version | None:
        """The version in production, after a look."""
        return self._named("champion")

    def challenger(self) -> Version | None:
        """The rival line's newest, after a look."""
        return self._named("challenger")

    def _named(self, alias: str) -> Version | None:
        entries = self.look()
        number = entries[-1].aliases.get(alias) if entries else None
        return self.version(number) if number else None

    def _look(self) -> list[Entry]:
        entries, not_made = self.ledger.entries(), ""
        if entries and not entries[-1].done:
            self._require_ours(entries, entries[-1].aliases)
            if entries[-1].action == OBSERVED:  # nothing was to be moved
                self._finish(entries[-1])
            else:
                not_made = self._apply(entries[-1])
            entries = self.ledger.entries()
        now = self.aliases()
        then = dict(entries[-1].aliases) if entries else {}
        if now == then:
            return entries
        self._require_ours(entries, now)
        moved = succession.changes(then, now)
        why = f"{not_made}; {moved}" if not_made else f"moved outside dupn: {moved}"
        entry = self.ledger.append(
            entries,
            action=OBSERVED,
            aliases=now,
            why=why,
            who="MLflow registry",
            facts=self.facts(now),
        )
        self._finish(entry)
        logger.info("ledger %d: %s", entry.number, why)
        return [*entries, entry]

    def move(
        self,
        after: Sequence[Entry],
        action: str,
        aliases: Mapping[str, str],
        why: str,
        who: str,
        more: Mapping[str, str] | None = None,
    ) -> Entry:
        """Enter a move in the ledger, on condition that `after` is all of it, and make it.

        Args:
            after: the ledger on which the decision rests.
            action: a word for the ledger.
            aliases: all of them, as they are from now on.
            why: a sentence for the ledger.
            who: moves them.
            more: facts beside the tags of the champion.

        Raises:
            RegistryError: a version was deleted, or another move came first.
        """
        if gone := self.gone(aliases):
            raise VersionGone(f"{action} moved nothing: {gone}. {_AGAIN}")
        facts = {**self.facts(aliases), **(more or {})}
        entry = self.ledger.append(
            after, action=action, aliases=aliases, why=why, who=who, facts=facts
        )
        not_made = self._apply(entry)
        if not_made:
            raise VersionGone(f"{not_made}. {_AGAIN}")
        return entry

    def _require_ours(self, entries: Sequence[Entry], now: Mapping[str, str]) -> None:
        """Where the server is another than the ledger's, no alias was moved and none may be.

        It is held against moves of our own, since what was only observed may have been seen there.

        Raises:
            RegistryError: it never had the model, or knows another one under the number of our last
                champion, or of who is champion there.
        """
        own = [one for one in entries if one.action != OBSERVED and not one.given_up]
        last = next((one for one in reversed(own) if "champion" in one.aliases), None)
        if last is None:
            return
        remedy = (
            "Nothing was changed. See that tracking.uri (--set, DUPN_SET) says where the nights "
            f"register; if {MODEL} has moved to this one for good, "
        )
        if not self.knows_the_model():
            served = f"version {last.aliases['champion']} of {MODEL} as champion"
            raise RegistryError(
                f"ledger entry {last.number} has {served}, and MLflow at {self.uri} knows no model "
                f"{MODEL}. {remedy}make a registered model {MODEL} there, without versions, and "
                "run this again."
            )
        asked = {now.get("champion", ""): own, last.aliases["champion"]: [last]}
        for number, by in asked.items():
            version = self.version(number) if number else None
            key = version.tags.get("run_key") if version else None
            if key and not is_it(by, number, key):
                had = [one for one in by if one.aliases.get("champion") == number][-1]
                raise RegistryError(
                    f"ledger entry {had.number} has version {number} of {MODEL} as champion, "
                    f"trained as {had.facts['run_key']}; in MLflow at {self.uri} that is {key}. "
                    f"{remedy}move the folder ledger out of the home: a new one begins."
                )

    def _apply(self, entry: Entry) -> str:
        """Move the aliases as an entry says; if a newer one came meanwhile, that has the last word.

        MLflow knows no conditional move, and this process may have slept since it made the entry.
        One that names a version that is gone can never be made: it is done with, where the aliases
        stand is for the next look to enter, and why is returned (nothing if it was made).
        """
        try:
            gone = self._point_all(entry)
        except Refused as error:
            raise Refused(
                f"ledger entry {entry.number} ({entry.action}) is entered, and not made: {error} "
                "Whoever looks next (`dupn status`, a night) makes it, once MLflow lets it.",
                error.code,
            ) from error
        not_made = f"ledger entry {entry.number} ({entry.action}) was not made: {gone}"
        if gone:
            logger.warning("%s", not_made)
        self._finish(entry, gone)
        if self.ledger.count() > entry.number:
            self._apply(self.ledger.entries()[-1])
        return not_made if gone else ""

    def _finish(self, entry: Entry, given_up: str = "") -> None:
        """Note that it is done; if newer ones came meanwhile, these have the last word."""
        if not given_up:
            self.follow(self.ledger.entries()[: entry.number])
        self.ledger.finish(entry, given_up)
        followed = entry.number
        while self.ledger.count() > followed:
            entries = self.ledger.entries()
            self.follow(entries)
            followed = len(entries)

    def _point_all(self, entry: Entry) -> str:
        """Point every alias where an entry has it; returns what `gone` says if one cannot be."""
        gone = self.gone(entry.aliases)
        if gone:
            return gone
        now = self.aliases()
        try:
            for name in ALIASES:
                number = entry.aliases.get(name)
                if now.get(name) != number and self.ledger.count() == entry.number:
                    self.point(name, number)
        except VersionGone:  # deleted since it was asked for
            return self.gone(entry.aliases)
        return ""


_AGAIN = "Look at `dupn status`, and decide again."
