"""What drills share: steps done in processes that die, and homes compared byte for byte."""

import contextlib
import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from infra.ledger import Ledger
from infra.store import MANIFEST, Partition, Store

ROOT = Path(__file__).resolve().parents[2]
PAIRS = ("train.threads=1", "beam.buckets=2")
Step = tuple[str, Mapping[str, Any]]
Place = TypeVar("Place")


@dataclass(frozen=True)
class Told:
    """How a process ended, and what it said of itself (nothing if it was killed)."""

    code: int
    passed: Sequence[str] = ()
    results: Sequence[Any] = ()
    error: str = ""
    sentence: str = ""


@dataclass
class Running:
    """A child at work."""

    warm: "Warm"
    child: int
    folder: Path

    def wait(self) -> Told:
        while not (code := self.warm.ask({"do": "look", "child": self.child})):
            time.sleep(0.02)
        file = self.folder / "told.json"
        said = json.loads(file.read_text()) if file.exists() else {}
        return Told(int(code), **said)

    def until_it_waits(self) -> bool:
        """Whether it has come to its boundary; False if it ended before."""
        while not (self.folder / "waits").exists():
            if (self.folder / "told.json").exists():
                return False
            time.sleep(0.01)
        return True

    def go(self) -> None:
        (self.folder / "go").touch()


@dataclass
class Warm:
    """The process from which all others are forked; see `tests.drills.warm`."""

    process: Any
    scratch: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, order: Mapping[str, Any]) -> str:
        with self.lock:
            self.process.stdin.write(json.dumps(order, default=str) + "\n")
            self.process.stdin.flush()
            said = self.process.stdout.readline()
        assert said, "the warm process ended"
        return said.strip()

    def start(
        self,
        home: Path,
        *steps: Step,
        kill_at: int | None = None,
        wait_at: int | None = None,
        pairs: Sequence[str] = (),
    ) -> Running:
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        order = {"do": "start", "home": home, "folder": folder, "steps": steps}
        order |= {"kill_at": kill_at, "wait_at": wait_at, "pairs": [*PAIRS, *pairs]}
        return Running(self, int(self.ask(order)), folder)

    def run(self, home: Path, *steps: Step, **options: Any) -> Told:
        return self.start(home, *steps, **options).wait()

    def done(self, home: Path, *steps: Step, **options: Any) -> Told:
        """The same; it must end well."""
        told = self.run(home, *steps, **options)
        assert told.code == 0, (told.error, told.sentence)
        return told


@contextlib.contextmanager
def warm_process(scratch: Path) -> Any:
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    }
    with (scratch / "stderr").open("w") as noise:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.drills.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            text=True,
            cwd=scratch,
            env=environment,
        )
    try:
        assert process.stdout.readline().strip(), (scratch / "stderr").read_text()
        yield Warm(process, scratch)
    finally:
        process.stdin.close()
        process.wait()


def copy(home: Path, to: Path) -> None:
    """A home as it stands. Files of the store are never changed in place: links are enough."""
    shutil.rmtree(to, ignore_errors=True)

    def link_or_copy(source: str, target: str) -> None:
        if "/mlflow/" in source:
            shutil.copy2(source, target)
        else:
            os.link(source, target)

    shutil.copytree(home, to, copy_function=link_or_copy)


def picture(home: Path, *folders: str) -> dict[str, str]:
    """What a home holds, whatever the names of its files: rows, counts, weights, decisions.

    Args:
        home: of the store.
        folders: where to look; everywhere by default.
    """
    store = Store(home)
    seen = {}
    for folder in [home / name for name in folders] or [home]:
        for manifest in sorted(folder.rglob(MANIFEST)):
            key = str(manifest.parent.relative_to(home))
            seen[key] = _contents(Partition(store.root, key))
    return seen


def decisions(home: Path) -> list[Any]:
    """The ledger without its clock."""
    return [
        (entry.action, dict(entry.aliases), entry.why, entry.who, entry.done, dict(entry.facts))
        for entry in Ledger(Store(home)).entries()
    ]


def _contents(partition: Partition) -> str:
    partition.verify()
    manifest = partition.manifest()
    names = [entry.name for entry in manifest.files]
    if names and all(name.endswith(".parquet") for name in names):
        return f"{partition.digest()} {dict(manifest.counts)}"
    if partition.key.startswith("checkpoints/") and names:
        return _weights(partition)
    return " ".join(entry.sha256 for entry in manifest.files)


def _weights(partition: Partition) -> str:
    """Weights and optimizer; not the seconds that it took."""
    digest = hashlib.sha256()
    for entry in partition.manifest().files:
        with partition.open(entry) as source:
            content = torch.load(source, weights_only=False)
        if "tallies" in content:
            content = {"optimizer": content["optimizer"], "rng": content["rng"]}
        _into(digest, content)
    return digest.hexdigest()


def _into(digest: Any, content: Any) -> None:
    if isinstance(content, torch.Tensor):
        dense = content.to_dense() if content.is_sparse else content
        digest.update(dense.detach().contiguous().numpy().tobytes())
    elif isinstance(content, Mapping):
        for name in sorted(content, key=str):
            digest.update(str(name).encode())
            _into(digest, content[name])
    elif isinstance(content, list | tuple):
        for one in content:
            _into(digest, one)
    else:
        digest.update(repr(content).encode())


def whole(now: Mapping[str, str], before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Each partition is absent, as it was, or as it will be: nothing in between can be read."""
    for key, content in now.items():
        assert content in (before.get(key), after.get(key)), f"{key} is neither old nor new"
    assert before.keys() <= now.keys()


def share_out(
    numbers: Iterable[int], places: Sequence[Place], do: Callable[[Place, int], None]
) -> None:
    """`do` with each number, at all places at once, and at none with two numbers at a time.

    A drill is mostly one thread at work, so two places take two cores half the time of one.
    """
    free: queue.SimpleQueue[Place] = queue.SimpleQueue()
    for place in places:
        free.put(place)

    def one(number: int) -> None:
        place = free.get()
        try:
            do(place, number)
        finally:
            free.put(place)

    with ThreadPoolExecutor(len(places)) as threads:
        try:
            for done in [threads.submit(one, number) for number in numbers]:
                done.result()
        finally:
            threads.shutdown(cancel_futures=True)


def killed(told: Told) -> bool:
    return told.code == -signal.SIGKILL
