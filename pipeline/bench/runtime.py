"""Which runtime should serve the disassembled network: every candidate, measured the same way.

The user part (100 behaviours -> 256 numbers) and the item part (200 and 10,000 candidates out of an
item table of 200,000) at the paper's dimensions, in each of `runtime_kinds.KINDS` and as the
service runs them today. The network is trained for a minute on a simulated marketplace, so that
what a precision costs is seen where it matters: in click probabilities and in the AUC of a day that
it has not learnt. What cannot run is a row with the reason.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation import sampled
from evaluation.metrics import auc
from evaluation.sampled import SampledDay
from infra.progress import track
from infra.scratch import scratch_folder
from pipeline import steps
from pipeline.bench import runtime_kinds, runtime_served
from pipeline.bench.load import figure
from pipeline.bench.runtime_kinds import Build, Call, Load
from pipeline.bench.runtime_parts import Asked, Inputs, ItemPart, UserPart, full, of_batch, table_of
from pipeline.settings import Settings, own
from training import checkpoint as checkpoints
from training.collate import collate
from training.fit import fit
from training.model.dupn import Dupn

logger = logging.getLogger(__name__)

PAPER = tuple(
    f"model.{name}={value}"
    for name, value in {
        "hidden_dim": 128, "user_dim": 128, "query_dim": 64, "attention_dim": 64
    }.items()
)  # fmt: skip
RUN = "runtime"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is measured."""

    items: int = 200_000
    """Rows of the item table."""
    candidates: tuple[int, ...] = (200, 10_000)
    """Of a request."""
    calls: int = 300
    asked: int = 1_000
    """Moments of the day after, for AUC."""
    threads: tuple[int, ...] = (1, 2)
    days: int = 3
    """Training days."""
    pairs: tuple[str, ...] = (*PAPER, "marketplace.users=1000")
    """Settings of world and network."""
    left_out: tuple[str, ...] = ()
    """Runtimes that are not tried."""


QUICK = Size(
    items=5_000,
    candidates=(200,),
    calls=3,
    asked=20,
    threads=(1,),
    days=1,
    pairs=(*PAPER, "marketplace.users=150", "marketplace.items=600", "train.epochs=1"),
    left_out=("aoti",),
)


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Figures; `quick` only shows that it runs, and leaves out what compiles for a minute."""
    size = QUICK if quick else Size()
    with scratch_folder() as home:
        model, day = _trained(chosen(str(home), size), size)
        threads = torch.get_num_threads()
        try:
            return list(measure(model, day, size, home))
        finally:
            torch.set_num_threads(threads)


def chosen(home: str, size: Size) -> Settings:
    """Of world and network."""
    return own("drift", home, ["seed=31", *size.pairs])


def _trained(settings: Settings, size: Size) -> tuple[Dupn, SampledDay]:
    """A network, and the day after those that it has learnt."""
    first = settings.first_day
    days = [first + timedelta(days=n) for n in range(size.days + 1)]
    steps.simulate(settings, first, len(days))
    for day in days:
        for stage in steps.DATA:
            getattr(steps, stage)(settings, day)
    fit(settings.store, days[:-1], settings.model, settings.train, seed=settings.seed, run_name=RUN)
    model = checkpoints.load_model(checkpoints.final(settings.store, RUN))
    return model.eval(), sampled.read(settings.store, days[-1], 4 * size.asked, 0)


def measure(model: Dupn, day: SampledDay, size: Size, work: Path) -> Iterator[dict[str, Any]]:
    """Figures of every candidate for every part.

    Args:
        model: a network with properties and `interaction = product`, in eval mode.
        day: moments that it has not learnt.
        size: how much.
        work: a folder for what is built.
    """
    table = table_of(model, day.catalog, size.items)
    bench = _Bench(model, table, _asked(model, day, table, size.asked), size, work)
    names = [("user", 0), *[("item", count) for count in size.candidates]]
    todo = [(part, count, kind) for part, count in names for kind in bench.kinds(part)]
    with track("bench runtime", total=2 * len(todo), unit="candidates") as bar:
        for one in todo:
            bench.build(*one)
            bar.advance()
        logger.info("everything is built")
        for one in todo:
            yield from bench.tried(*one)
            bar.advance()


class _Bench:
    """Network, questions and the plain answers that others are held against."""

    def __init__(
        self, model: Dupn, table: NDArray[np.float32], asked: Asked, size: Size, work: Path
    ) -> None:
        self.model, self.table, self.asked, self.size, self.work = model, table, asked, size, work
        self.user, self.item = UserPart(model).eval(), ItemPart(model).eval()
        self.rows = torch.from_numpy(table)
        self.built: dict[str, tuple[Load, float]] = {}
        self.failed: dict[str, str] = {}
        with torch.no_grad():  # compiled programs refuse tensors of inference mode
            self.reps = [self.user(*inputs)[0] for inputs in asked.users]
            self.wishes = [model.wished(model.query(words)) for *_, words, _ in asked.users]
            self.plain = self._clicks(self.reps)

    def kinds(self, part: str) -> Mapping[tuple[str, str], Build]:
        """Runtime and precision of each candidate, and how it is built."""
        model = self.model
        served = (
            runtime_served.user_kinds(model)
            if part == "user"
            else (runtime_served.item_kinds(model, self.table))
        )
        every = {**served, **runtime_kinds.KINDS}
        return {kind: every[kind] for kind in every if kind[0] not in self.size.left_out}

    def build(self, part: str, count: int, kind: tuple[str, str]) -> None:
        """Export, compile, quantise; all of it before anything is measured."""
        name = _name(part, count, kind)
        module = self.user if part == "user" else self.item
        start = time.perf_counter()
        try:
            with runtime_kinds.quiet(), torch.no_grad():
                ready = self.kinds(part)[kind](module, self._example(part, count), self.work / name)
        except Exception as error:  # whatever stops a candidate is what the reader wants to know
            self.failed[name] = _why(error)
        else:
            self.built[name] = (ready, time.perf_counter() - start)

    def tried(self, part: str, count: int, kind: tuple[str, str]) -> Iterator[dict[str, Any]]:
        """Figures of one candidate; only that it did not run, and why, if it did not."""
        name = _name(part, count, kind)
        found: list[dict[str, Any]] = []
        if name in self.built:
            try:
                with runtime_kinds.quiet(), _without_gradients(kind[0]):
                    found = self._measured(name, part, count)
            except Exception as error:  # the same
                self.failed[name] = _why(error)
        if name in self.failed:
            logger.info("%s does not run: %s", name, self.failed[name])
            yield figure(f"{name}_runs", 0.0, "0 or 1", f"did not run: {self.failed[name]}")
        else:
            yield figure(f"{name}_runs", 1.0, "0 or 1", "built, loaded and called")
            yield from found

    def _example(self, part: str, count: int) -> Inputs:
        return full(self.model, self.table) if part == "user" else self._list(count)

    def _measured(self, name: str, part: str, count: int) -> list[dict[str, Any]]:
        example = self._example(part, count)
        ready, built = self.built[name]
        found = [figure(f"{name}_build_s", built, "s", "once a version")]
        for threads in self.size.threads:
            start = time.perf_counter()
            call = ready(threads)
            call(example)
            loaded = time.perf_counter() - start
            protocol = (
                f"{threads} thread(s), paper dimensions, a table of {len(self.table):,} items, "
                f"{self.size.calls} calls"
            )
            seconds = _seconds(call, example, self.size.calls)
            for q, label in ((0.5, "p50"), (0.99, "p99")):
                value = float(np.quantile(seconds, q) * 1e3)
                found.append(figure(f"{name}_{label}_ms_{threads}", value, "ms", protocol))
        clicks = self._of_users(call) if part == "user" else self._of_items(call, count)
        bytes_ = sum(one.stat().st_size for one in self.work.glob(f"{name}*") if one.is_file())
        bytes_ += self._table_bytes(name) if part == "item" else 0
        asked = f"{len(self.asked.users)} moments of a day not learnt; against fp32 eager"
        change = auc(clicks, self.asked.clicked) - auc(self.plain, self.asked.clicked)
        worst = float(np.abs(clicks - self.plain).max())
        return [
            *found,
            figure(f"{name}_load_s", loaded, "s", "from its file to the first answer"),
            figure(f"{name}_mib", bytes_ / 2**20, "MiB", "its file; items: and the table"),
            figure(f"{name}_difference", worst, "probability", asked),
            figure(f"{name}_auc_change", float(change), "AUC", asked),
        ]

    def _table_bytes(self, name: str) -> int:
        """Only the service's own item part takes rows that are not fp32."""
        width = {"served_bf16": 2, "served_int8": 1}
        return self.table.size * next((w for end, w in width.items() if name.endswith(end)), 4)

    def _list(self, count: int) -> Inputs:
        rows = np.random.default_rng(4).integers(2, len(self.table), count)
        part = self.model.ctr.of_moment(self.reps[0], self.wishes[0])
        assert part.match_BE is not None
        return self.rows, torch.from_numpy(rows), part.hidden_BD, part.match_BE

    def _of_users(self, call: Call) -> NDArray[np.float32]:
        return self._clicks([call(inputs) for inputs in self.asked.users])

    def _of_items(self, call: Call, count: int) -> NDArray[np.float32]:
        return self._clicks(self.reps, call, count)

    def _clicks(
        self, reps: list[torch.Tensor], call: Call | None = None, count: int = 0
    ) -> NDArray[np.float32]:
        """Probability of a click on every asked candidate; lists are padded to `count`."""
        found = []
        for rep_BR, wish_BE, rows in zip(reps, self.wishes, self.asked.rows, strict=True):
            part = self.model.ctr.of_moment(rep_BR, wish_BE)
            assert part.match_BE is not None
            padded = torch.from_numpy(np.pad(rows, (0, max(0, count - len(rows)))))
            inputs = (self.rows, padded, part.hidden_BD, part.match_BE)
            logit_C = call(inputs) if call else self.item(*inputs)
            found.append(torch.sigmoid(logit_C[: len(rows)]).detach().numpy().copy())
        return np.concatenate(found)


def _without_gradients(runtime: str) -> AbstractContextManager[None]:
    """As the service answers; compiled programs take only tensors outside inference mode."""
    return torch.no_grad() if runtime == "aoti" else torch.inference_mode()


def _name(part: str, count: int, kind: tuple[str, str]) -> str:
    return f"runtime_{part}{f'_{count}' if count else ''}_{kind[0]}_{kind[1]}"


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _asked(model: Dupn, day: SampledDay, table: NDArray[np.float32], most: int) -> Asked:
    """Moments of a day that have candidates."""
    moments = day.moments
    users, rows, clicked = [], [], []
    own = moments.day == len(day.catalogs) - 1  # the table is of the day's own catalog
    for place in np.flatnonzero(own & (moments.candidates.lengths > 0))[:most]:
        one = np.array([place])
        batch = collate(moments, one, day.catalogs, model.sizes)
        history = moments.sequence.gather(one).flat("item")
        users.append(of_batch(batch, history, table, model.config.e_dim))
        rows.append(moments.candidates.gather(one).flat("item").astype(np.int64))
        clicked.append(batch.cand_clicked_C.numpy() > 0)
    return Asked(users, rows, np.concatenate(clicked))


def _seconds(call: Call, example: Inputs, calls: int) -> list[float]:
    """Of each call, after a few that warm up."""
    seconds = []
    for _ in range(calls // 10 + 1 + calls):
        start = time.perf_counter()
        call(example)
        seconds.append(time.perf_counter() - start)
    return seconds[-calls:]
