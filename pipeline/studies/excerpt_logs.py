"""Excerpts of real logs as samples, and how a protocol deals them out to learn, judge and ask.

Two kinds of protocols. By days: the first days are learnt, the next one judges, the one after it is
asked; each click beside clicks of other users of its day. By users, in the manner of MIMN's Taobao
set (`training.peers.last_click`): a user is asked once, by a network that learnt from others.

Days are built once, under `study/excerpts`: working data, made again where they are missing.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import lru_cache
from pathlib import Path

from features.carry import ONE_DAY
from infra.errors import ConfigError
from infra.progress import Progress
from infra.store import Store
from pipeline import steps
from pipeline.settings import Settings
from pipeline.studies import worlds
from pipeline.studies.base import line
from training.config import ModelConfig, Task
from training.peers.held import Held
from training.peers.last_click import folds_of, last_clicks, of_some

CLICKS = (Task.CTR,)
MOST_BYTES = 256 << 20
"""Of a log, which is read and imported whole: some eighty times the excerpts that are published."""
SHORT = 9
"""Days of a log in a quick study."""


@dataclass(frozen=True)
class Log:
    """A real log: where it lies in the folder of logs, and which of its days are taken."""

    name: str
    dataset: str
    """Its description in `infra/datasets`."""
    file: str
    cut: str = field(repr=False)  # digests of cells have the rest
    """How the file of the published figures is cut from the whole one."""
    first: date
    count: int
    """Days."""
    changes: Mapping[str, int] = field(default_factory=dict)
    """Widths of what this log knows of an item, over those of the preset."""
    note: str = ""
    """What a reader of its figures must know."""

    @property
    def days(self) -> list[date]:
        """In order."""
        return [self.first + ONE_DAY * number for number in range(self.count)]


@dataclass(frozen=True)
class Protocol:
    """What is learnt, what judges and what is asked."""

    name: str
    title: str
    log: Log
    learnt: int = 0
    """Days that are learnt; the next one judges, the one after it is asked. 0: users are split."""
    folds: int = 5
    """Parts of the users, where they are split: the last judges, of the others each is asked once
    by a network that learnt from the rest."""
    targets: int = 1
    """Last clicks of a user that are learnt and judge, where users are split."""
    batch_size: int | None = None
    """Moments a step; the preset's when absent. Few moments want small batches."""
    epochs: int | None = None
    """At most; the study's when absent."""
    searched: float = 1.0
    """Share of the users that the search learns from and is judged by."""

    @property
    def days(self) -> tuple[date, date, date]:
        """Last learnt, judging and asked day."""
        first = self.log.days[self.learnt - 1]
        return first, first + ONE_DAY, first + ONE_DAY * 2

    @property
    def words(self) -> str:
        """How it goes, in a few sentences."""
        if self.learnt:
            last, judges, asked = self.days
            return (
                f"{self.log.dataset}: {self.log.first} to {last} learnt, {judges} judges, {asked} "
                f"asked; each click among clicks of other users of its day. {self.log.note}"
            ).strip()
        learnt = "last click" if self.targets == 1 else f"last {self.targets} clicks"
        return (
            f"{self.log.dataset}, in the manner of MIMN's Taobao set: a user's last click (an hour "
            "before the log's end or earlier), or half the time a random item in its place that is "
            "as new (met before that day if the click's item was, else first met that day), after "
            "all that the user did before; statistics and ids as they were the evening before. "
            f"Users in {self.folds} parts: one judges, of the others each is asked by a network "
            f"that learnt the {learnt} of the rest. The search learns from parts that are asked "
            "later by networks that have not seen them; what chooses is the judging part, which "
            "is never asked."
        )


TAOBAO = Log(
    "taobao",
    "taobao_userbehavior",
    "taobao_userbehavior/UserBehavior.csv",
    "head -c 3178496",
    date(2017, 11, 25),
    9,
)
TMALL = Log(
    "tmall",
    "tmall_ijcai15",
    "tmall_ijcai15/user_log_format1.csv",
    "head -n 10001",
    date(2014, 10, 13),
    30,
    {"brand_dim": 16, "shop_dim": 16, "category_dim": 32},
    "The log has days and no times, so nothing of a click's own day is in its history; the day "
    "asked is the sale of 11 November.",
)
PROTOCOLS = (
    Protocol("taobao", "Taobao, same-day negatives", TAOBAO, learnt=6, searched=0.25),
    Protocol("mimn", "Taobao, last click, one a user", TAOBAO, batch_size=16, epochs=12),
    Protocol("mimn10", "Taobao, last click, ten a user learnt", TAOBAO, targets=10,
             batch_size=64),
    Protocol("tmall", "Tmall, same-day negatives", TMALL, learnt=28, batch_size=32, epochs=8),
)  # fmt: skip


def shortened(protocol: Protocol) -> Protocol:
    """The same on the last days of a long log: for a study that only shows that it runs."""
    spare = protocol.log.count - SHORT
    if spare <= 0:
        return protocol
    log = replace(protocol.log, first=protocol.log.first + ONE_DAY * spare, count=SHORT)
    return replace(protocol, log=log, learnt=max(protocol.learnt - spare, 0))


@dataclass(frozen=True)
class Split:
    """Who learns what and is asked what."""

    learnt: Held
    judges: Held
    asked: Held


@dataclass(frozen=True)
class Excerpt:
    """A log under some settings, from the file to samples.

    Args:
        settings: of the study.
        log: which.
    """

    settings: Settings
    log: Log

    @property
    def file(self) -> Path:
        """Where the log lies.

        Raises:
            ConfigError: it is not there, or no excerpt.
        """
        path = Path(self.settings.study.data) / self.log.file
        if not path.is_file():
            raise ConfigError(
                f"{path} is absent, and study excerpts reads the real log {self.log.dataset}. "
                f"Put it there, or name the folder that holds {self.log.file} with "
                "--set study.data=FOLDER."
            )
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ConfigError(
                f"{path} has {size / 1e6:,.0f} MB, and study excerpts reads an excerpt of at most "
                f"{MOST_BYTES / 1e6:,.0f} MB whole. Cut it with `{self.log.cut}` into another "
                "folder (docs/studies.md, Real logs) and name that with --set study.data=FOLDER."
            )
        return path

    @property
    def digest(self) -> str:
        """Changes with what decides its bytes."""
        deciding = line(self.settings, worlds.DECIDING - {"marketplace"})
        days = f"{self.log.first} {self.log.count}"
        content = _sha(self.file, self.file.stat().st_mtime_ns)
        whole = f"{deciding} {self.log.dataset} {days} {content}"
        return hashlib.sha256(whole.encode()).hexdigest()[:12]

    @property
    def own(self) -> Settings:
        """Settings of its data, with a home of their own."""
        folder = f"{self.log.name}-{self.digest}"
        home = self.settings.store.address("study", "excerpts", folder)
        few = self.settings.beam.model_copy(update={"buckets": 1})  # it is small
        changed = {"home": home, "dataset": self.log.dataset, "beam": few}
        return self.settings.model_copy(update=changed)

    @property
    def store(self) -> Store:
        """Of its own data."""
        return self.own.store

    @property
    def model(self) -> ModelConfig:
        """Dimensions, with widths for what the log knows of an item."""
        return self.settings.model.model_copy(update=dict(self.log.changes))

    def build(self, progress: Progress) -> None:
        """Import the log and make samples of its days, or what is left of that."""
        own, days = self.own, self.log.days
        if not all(own.store.partition("raw", day, "behaviors").exists() for day in days):
            steps.import_log(own, self.log.dataset, [self.file])
        worlds.prepare(own, days, progress)

    def held(self, days: Sequence[date], known: date) -> Held:
        """Samples of some days, for networks that know the vocabulary of the day `known`."""
        return _held(self.own.home, tuple(days), known)

    def splits(self, protocol: Protocol, share: float = 1.0) -> list[Split]:
        """Who learns, judges and is asked.

        Args:
            protocol: of this log.
            share: of the users; 1: all.
        """
        if protocol.learnt:
            return [self._by_days(protocol, share)]
        return list(self._by_users(protocol, share))

    def _by_days(self, protocol: Protocol, share: float) -> Split:
        last, judges, asked = protocol.days
        learnt = self.log.days[: protocol.learnt]
        every = (self.held(days, last) for days in (learnt, [judges], [asked]))
        return Split(*(held.asking(CLICKS, {Task.CTR: share}) for held in every))

    def _by_users(self, protocol: Protocol, share: float) -> Iterator[Split]:
        days, seed = self.log.days, self.settings.seed
        held = self.held(days, days[-1]).asking(CLICKS, {Task.CTR: share})
        many, one = last_clicks(held, seed, protocol.targets), last_clicks(held, seed)
        fold = folds_of(held.moments.user_hash, protocol.folds)
        judge = protocol.folds - 1
        for number in range(judge):
            learnt = (fold != number) & (fold != judge)
            yield Split(
                of_some(many, learnt), of_some(many, fold == judge), of_some(one, fold == number)
            )


@lru_cache(maxsize=4)
def _held(home: str, days: tuple[date, ...], known: date) -> Held:
    from training.sizes import vocabulary_sizes

    store = Store(home)
    return Held.read(store, days, vocabulary_sizes(store, known))


@lru_cache(maxsize=8)
def _sha(file: Path, changed: int) -> str:
    """Of a file's content; `changed` is when that was."""
    del changed
    return hashlib.sha256(file.read_bytes()).hexdigest()
