"""Bundles of the store: a version each, disassembled, checksummed; whoever serves needs no MLflow.

`bundles/<run key>/v<number>` is a partition like any other (whole or absent, SHA-256 a file); its
lineage says whose it is. It holds one folder, which is read as it lies:

```
bundle.json, model.pt, store/, recorded.json     the logged bundle (`serving.bundle`)
disassembled/                                    what `serving.served.disassemble` adds: the item
                                                 half of the network, row by catalog row, its user
                                                 part as an ONNX graph, and recall
```

On a local store it is memory-mapped where it is, so all processes of a machine share its pages;
from an object store it is copied once a machine. Every byte is compared with the manifest at each
load from a disk, and once, as it arrives, from an object store.
"""

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.errors import PartitionCorrupt, PartitionMissing, RegistryError
from infra.files import alone, filesystem, is_local, writing
from infra.registry import Version
from infra.store import Manifest, Partition, Store
from serving import bundle as bundles
from serving import served as disassembled
from serving.served import Name
from training.model.dupn import Dupn

logger = logging.getLogger(__name__)

ROOT = "bundles"
FORMAT = 2
"""Of what is published; a bundle of another format is built again. 1 had no user part."""
COPIES = 4
"""Copies from an object store that stay on a machine."""


def name_of(version: Version) -> Name:
    """What answers of a registered version say of themselves."""
    tags = version.tags
    return Name(
        version=version.number,
        line=tags.get("line", ""),
        run=tags.get("run_key", ""),
        representation=tags.get("representation", "1"),
    )


def place(store: Store, run: str, number: str) -> Partition:
    """`bundles/<run key>/v<number>`; nothing is touched."""
    return store.partition(ROOT, None, run, f"v{number}")


def published(store: Store, run: str) -> list[Partition]:
    """The bundles of a run key, whole or not, oldest version first."""
    numbers = [name[1:] for name in store.names(f"{ROOT}/{run}") if _is_version(name)]
    return [place(store, run, number) for number in sorted(numbers, key=int)]


def everywhere(store: Store) -> list[Partition]:
    """The bundles of all run keys that are published, whole or not."""
    return [one for one in store.within(ROOT) if _is_version(one.key.rpartition("/")[2])]


def publish(target: Partition, bundle: Path, name: Name, model: str, tolerance: float) -> Manifest:
    """Disassemble a bundle and publish both, if it answers its recorded questions as evaluation.

    Args:
        target: `place` of the version.
        bundle: folder of the bundle, on this machine.
        name: of the version.
        model: address of the logged model that the bundle came from.
        tolerance: largest difference from a recorded score.

    Raises:
        RegistryError: it answers otherwise; nothing is published.
    """
    text = (bundle / bundles.DESCRIPTION).read_bytes()
    day = bundles.described(text, str(bundle))["day"]
    facts = {"format": FORMAT, "model_uri": model, "day": day, **asdict(name)}
    with target.publish(**facts, digest=bundles.digest(bundle)) as out, out.folder("bundle") as own:
        with writing(str(own)):
            copy_files(bundle, own)
            disassembled.disassemble(own, own / disassembled.FOLDER)
        loaded = disassembled.load(own, own / disassembled.FOLDER, name)
        worst = disassembled.worst_difference(loaded, own)
        if not worst <= tolerance:
            raise RegistryError(
                f"version {name.version}, disassembled, answers its recorded questions otherwise: "
                f"a score differs by {worst:.3g} (allowed {tolerance:g}). Nothing was published."
            )
    return target.manifest()


def copy_files(folder: Path, to: Path) -> None:
    """File by file, so that the first that cannot be written is the error, with its number."""
    for file in sorted(folder.rglob("*")):
        place = to / file.relative_to(folder)
        if file.is_dir():
            place.mkdir(exist_ok=True)
        else:
            shutil.copy2(file, place)


def is_whole(target: Partition, model: str) -> bool:
    """Whether the bundle of that logged model is published, in our format, to the last byte."""
    try:
        lineage = target.manifest().lineage if target.exists() else {}
        if lineage.get("model_uri") != model or lineage.get("format") != FORMAT:
            return False
        target.verify()
    except PartitionCorrupt as error:
        logger.warning("%s", error)
        return False
    return True


def find(store: Store, key: str) -> Partition:
    """The bundle of a run key (its newest version), or of one version: `<run key>/v<number>`.

    Raises:
        PartitionMissing: there is none; names those that there are.
    """
    run, _, version = key.partition("/")
    named = [one for one in published(store, run) if one.exists()]
    if version:
        named = [one for one in named if one.key.endswith(f"/{version}")]
    if named:
        return named[-1]
    there = [
        one.key.removeprefix(f"{ROOT}/")
        for other in store.names(ROOT)
        for one in published(store, other)
        if one.exists()
    ]
    raise PartitionMissing(
        f"no disassembled bundle {key} is published under {store.address(ROOT)}. There are: "
        f"{', '.join(there) or 'none'}. `dupn bundle --version N` builds that of a version."
    )


def fetch(target: Partition, copies: Path, model: str | None = None) -> tuple[Name, Path]:
    """Name and folder of a published bundle, on this machine.

    Every byte is compared with the manifest, but of a copy that lies in `copies` already: that was
    compared when it was made (`serving.served.load` compares its largest files at each load).

    Args:
        target: where it is published.
        copies: a folder of this machine, for bundles of an object store.
        model: address of the logged model that it must come from, where that is known.

    Raises:
        PartitionMissing: it is not published.
        PartitionCorrupt: it has another format, is of another model or version, or a file is not
            what was published.
    """
    manifest = target.manifest()
    lineage = manifest.lineage
    if model is not None and lineage.get("model_uri") != model:
        raise PartitionCorrupt(
            f"{target.key} was made of {lineage.get('model_uri')}, not of {model}. "
            f"Run `dupn bundle --version {lineage.get('version')}` again."
        )
    if lineage.get("format") != FORMAT:
        raise PartitionCorrupt(
            f"{target.key} has format {lineage.get('format')}, this version reads {FORMAT}. "
            f"Run `dupn bundle --version {lineage.get('version')}` again."
        )
    name = Name(**{field: lineage[field] for field in Name.__dataclass_fields__})
    if target.key != f"{ROOT}/{name.run}/v{name.version}":  # which names the copy's folder, too
        raise PartitionCorrupt(
            f"{target.key} says that it is version {name.version!r} of {name.run!r}. It was copied "
            "or changed by others: run `dupn bundle --version N` for that version again."
        )
    if is_local(filesystem(target.root)):
        return name, target.folder(copies)
    return name, _copied(target, copies / f"{name.run}-v{name.version}-{manifest.stamp}")


@dataclass(frozen=True)
class OnePublished:
    """A source of `serving.versions` that stays with one bundle; no registry is asked.

    Each process fetches it for itself: published anew it lies in another folder, and the one that
    was there when the service started is swept.
    """

    store: Store
    name: Name
    copies: Path
    """A folder of this machine, for bundles of an object store."""
    arms: tuple[str, ...]

    def wanted(self) -> Mapping[str, str | None]:
        """See `Source`."""
        return dict.fromkeys(self.arms, self.name.version)

    def fetch(self, number: str) -> tuple[Name, Path]:
        """See `Source`."""
        return fetch(place(self.store, self.name.run, number), self.copies)

    def stamp(self, number: str) -> str:
        """See `Source`."""
        return place(self.store, self.name.run, number).stamp()


def network(target: Partition) -> Dupn:
    """The network of a published bundle, read through the store."""
    found = {entry.name.split("/")[-1]: entry for entry in target.manifest().files}
    with target.open(found[bundles.DESCRIPTION]) as text, target.open(found[bundles.WEIGHTS]) as w:
        return bundles.network(bundles.described(text.read(), target.key), w)


def _is_version(name: str) -> bool:
    return name.startswith("v") and name[1:].isdigit()


def _copied(target: Partition, folder: Path) -> Path:
    """The bundle on this machine; processes that ask at once wait for the one that copies."""
    with alone(folder.parent / "copying"):
        if not folder.exists():
            scratch = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(scratch, ignore_errors=True)
            inner = target.folder(scratch).relative_to(scratch)
            (scratch / inner).rename(folder)
            shutil.rmtree(scratch)
            _tidy(folder.parent)
        os.utime(folder)
    return folder


def _tidy(copies: Path) -> None:
    """Only the copies used last stay; what a process has mapped of others stays readable."""
    found = [one for one in copies.iterdir() if one.is_dir()]
    for old in sorted(found, key=lambda one: one.stat().st_mtime)[:-COPIES]:
        shutil.rmtree(old, ignore_errors=True)
