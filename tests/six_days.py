"""Six good days, and a home whose first model learnt four of them."""

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

from infra.registry import MODEL, Registry
from infra.store import Store
from pipeline import steps
from pipeline.learn import learning
from pipeline.release import promotion
from pipeline.settings import Settings, load
from tests.training.conftest import write_store
from training import checkpoint
from training.ancestry import Ancestry

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=i) for i in range(6)]
NIGHT, NEXT = DAYS[4], DAYS[5]
DIMS = ("item", "brand", "shop", "category", "tag", "hidden", "user", "query", "attention")
PAIRS = [
    *(f"model.{name}_dim=4" for name in DIMS),
    "model.ctr_hidden=[4]",
    "train.threads=1",
    "update.holdout_share=0.2",
]


def template(home: Path) -> Settings:
    """The days, a first model of four of them, and an empty registry."""
    store = write_store(home, days=len(DAYS), moments=60)
    for day in DAYS:
        judge(store, day)
    settings = load("smoke", str(home), PAIRS)
    learning.train(settings, DAYS[:4])
    return settings


def copied(template: Settings, home: Path) -> Settings:
    """A copy of the template in which the first model is champion; MLflow is the template's."""
    ignored = shutil.ignore_patterns("mlflow")
    shutil.copytree(template.home, home, ignore=ignored, dirs_exist_ok=True)
    uri = f"sqlite:///{template.home}/mlflow/mlflow.db"
    own = load("smoke", str(home), [*PAIRS, f"tracking.uri={uri}"])
    promote(own, "dupn-2026-03-05")
    return own


def judge(store: Store, day: date, *, passed: bool = True, rows: int = 100, carts: int = 0) -> None:
    """What `dupn quality` leaves of a day of clicks and carts."""
    kinds = {"1": rows - carts, "3": carts}
    events = {"sum:behaviors.rows": rows}
    events |= {f"sum:behaviors.type.mix.{kind}": count for kind, count in kinds.items()}
    for of in ("events", "samples"):
        verdict = json.dumps({"passed": passed})
        store.put(f"reports/quality/{of}/{day}.json", verdict)
        tally = events if of == "events" else {"sum:samples.rows": 60}
        with store.partition("quality", day, of).publish() as out:
            out.record([out.write_bytes("tally.json", json.dumps(tally).encode())])


def registry(settings) -> Registry:
    return Registry(settings.tracking.uri, settings.store)


def promote(settings, key, *, line="dupn", alias="champion"):
    entered = registry(settings)
    tags = {"run_key": key, "line": line}
    version = entered.register(f"file:///{line}/{key}", "", tags)
    if alias == "champion":
        entered.promote(version.number, "a test")
    else:
        entered.client.set_registered_model_alias(MODEL, alias, version.number)


def tagged(settings, key):
    """The newest version, with what `register` says of the run key."""
    mine = learning.of_run(settings.store, key)
    tags = {
        "trained_on": f"{mine.days[0]}..{mine.days[-1]}",
        "parent": mine.parent,
        "ancestry": promotion._ancestry(mine),
    }
    number = registry(settings).versions()[-1].number
    for name, value in tags.items():
        registry(settings).client.set_model_version_tag(MODEL, number, name, value)


def overtaken(settings, *, champion=False):
    """The night's candidate, a version, after which another model than its parent was promoted."""
    key = steps.update(settings, NIGHT)["run"]
    promote(settings, key, alias="champion" if champion else "previous")
    tagged(settings, key)
    promote(settings, "dupn-2026-03-05-by-hand")
    folder = Path(settings.home, "checkpoints")
    shutil.copytree(folder / "dupn-2026-03-05", folder / "dupn-2026-03-05-by-hand")
    return key


def changed(settings, *pairs):
    uri = f"tracking.uri={settings.tracking.uri}"
    return load("smoke", settings.home, [*PAIRS, uri, *pairs])


def learnt(settings, day) -> list[tuple[int, str]]:
    """(day, share) of what a night learnt."""
    place = checkpoint.final(settings.store, f"dupn-{day}")
    parts = Ancestry.of_plain(place.manifest().lineage["learnt"]).parts
    return [(part.day.day, part.share.value) for part in parts]
