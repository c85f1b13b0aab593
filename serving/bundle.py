"""A bundle: one folder that answers by itself, without store, registry or training code.

It holds the weights and a small store of its own with the tables that the questions of one day are
answered with: catalog and vocabulary of that day, statistics of the day before. So whoever loads it
gets, to the last digit, what evaluation computed.

```
bundle.json          run key, day, time zone, recipe
model.pt             weights
store/               catalog/dt=D, vocabulary/dt=D/*, statistics/dt=D-1/*
recorded.json        moments of the evaluation with the scores that it computed (for the canary)
```
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

import torch

from features import vocabulary
from features.questions import world as worlds
from features.questions.world import World
from features.schemas import POOL
from features.vocabulary import Vocabulary
from infra.errors import PartitionCorrupt
from infra.record import as_object
from infra.store import MANIFEST, Partition, Store
from serving import tables
from training.batch import VocabularySizes
from training.config import ModelConfig
from training.model.dupn import Dupn

FORMAT = 1
DESCRIPTION, WEIGHTS = "bundle.json", "model.pt"
LOGGED = "artifacts/bundle"
"""Where it lies inside a logged model."""
RECORDED = "recorded.json"
"""In it: moments, and what the model answered when it was evaluated."""
_AGAIN = "Run `dupn bundle` again."


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What was loaded."""

    folder: Path
    key: str
    """Run key of the model."""
    day: date
    """Whose catalog and vocabulary it answers with."""
    model: Dupn
    world: World
    profile: tuple[Vocabulary, ...]
    """One vocabulary a profile column, in the network's order."""


def write(  # a front door: everything that a bundle is made of
    folder: Path, model: Dupn, store: Store, day: date, *, key: str, zone: str
) -> None:
    """Write the bundle of a model that answers with the tables of `day`.

    Args:
        folder: a local folder, empty or absent.
        model: the network.
        store: where catalog, vocabulary and statistics are.
        day: the day whose tables to take; statistics are those of the day before.
        key: the run key.
        zone: the data set's time zone.

    Raises:
        PartitionMissing: a vocabulary, or statistics of the day before, are gone.
    """
    tables.require_statistics(store, day)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / WEIGHTS)
    inner = Store(folder / tables.FOLDER)
    for partition in tables.of_day(store, day):
        _copy(partition, inner)
    content = {
        "format": FORMAT,
        "key": key,
        "day": day.isoformat(),
        "zone": zone,
        "model": model.config.model_dump(mode="json"),
        "sizes": model.sizes.plain(),
    }
    (folder / DESCRIPTION).write_text(json.dumps(content, indent=1))


def load(folder: Path) -> Bundle:
    """A bundle, ready to answer on the CPU.

    Raises:
        PartitionCorrupt: the folder is not a bundle that this version can read.
    """
    content = _description(folder)
    with (folder / WEIGHTS).open("rb") as weights:
        model = network(content, weights)
    day = date.fromisoformat(content["day"])
    store = Store(folder / tables.FOLDER)
    names = model.sizes.profile_names  # a column that the shop got later is left out
    if names is None:
        names = tuple(vocabulary.published(store, day, "profile_"))
    return Bundle(
        folder=folder,
        key=content["key"],
        day=day,
        model=model,
        world=worlds.load(store, day, content["zone"], POOL.empty_table()),
        profile=tuple(vocabulary.load(store, day, name) for name in names),
    )


def network(description: Mapping[str, Any], weights: IO[bytes]) -> Dupn:
    """The network of a bundle on the CPU, in eval mode, from its two files' content.

    Raises:
        PartitionCorrupt: it weighs other ranking features or properties than this version tells.
    """
    sizes = VocabularySizes.of_plain(description["sizes"])
    if sizes.misfit:
        raise PartitionCorrupt(
            f"the bundle {description['key']} {sizes.misfit}. Serve it with the version of dupn "
            "that trained it, or train the line anew with `dupn train`."
        )
    model = Dupn(ModelConfig.model_validate(description["model"]), sizes)
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return model.eval()


def digest(folder: Path) -> str:
    """Of all that decides the answers: weights, tables, recorded questions and our code."""
    whole = hashlib.sha256()
    for name in sorted(file.name for file in folder.glob("*.json")):
        whole.update((folder / name).read_bytes())
    weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    for name, tensor in weights.items():
        whole.update(name.encode() + tensor.contiguous().numpy().tobytes())
    for file in sorted(folder.rglob(MANIFEST)):  # names of files and times differ between copies
        hashes = [entry["sha256"] for entry in json.loads(file.read_text())["files"]]
        whole.update(f"{file.parent.relative_to(folder)} {hashes}".encode())
    for file in sorted(file for package in packages() for file in package.rglob("*.py")):
        whole.update(file.read_bytes())
    return whole.hexdigest()


def packages() -> list[Path]:
    """The packages whose code answers; they are logged with the model."""
    root = Path(__file__).parent.parent
    return [root / name for name in ("infra", "features", "training", "serving")]


def _description(folder: Path) -> Mapping[str, Any]:
    file = folder / DESCRIPTION
    if not file.exists():
        raise PartitionCorrupt(f"{folder} is not a bundle: bundle.json is absent.")
    return described(file.read_bytes(), str(file))


def described(text: bytes, where: str) -> Mapping[str, Any]:
    """What a bundle says of itself in `bundle.json`.

    Raises:
        PartitionCorrupt: this version cannot read it.
    """
    try:
        content: Mapping[str, Any] = as_object(text)
    except ValueError as error:
        raise PartitionCorrupt(f"{where} cannot be read ({error}). {_AGAIN}") from None
    if content.get("format") != FORMAT:
        raise PartitionCorrupt(
            f"{where} has format {content.get('format')}, this version reads {FORMAT}. {_AGAIN}"
        )
    return content


def _copy(partition: Partition, target: Store) -> None:
    manifest = partition.manifest()
    copy = Partition(root=target.root, key=partition.key)
    with copy.publish(copied_from=partition.key, **manifest.lineage) as out:
        for entry in manifest.files:
            with partition.open(entry) as source:
                written = out.write_bytes(entry.name, source.read(), rows=entry.rows)
            kept = {"low": entry.low, "high": entry.high, "counts": dict(entry.counts)}
            out.record([type(entry)(**{**asdict(written), **kept})])
