"""What the smoke chain gives, in a few numbers; `python -m tests.e2e.golden` writes them anew.

Rows of every published table, and the figures of the evaluation to four digits. A refactor leaves
them as they are; a change of the world, the data plane or the model writes them again, in the same
commit, and says why.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.store import Store
from tests import chain as chains
from tests.chain import DAYS, Chain
from training import checkpoint as checkpoints

FILE = Path(__file__).with_name("golden.json")
TABLES = {
    "raw": ("behaviors", "impressions", "follows"),
    "events": ("behaviors", "impressions", "follows", "items"),
    "rejects": (),
    "vocabulary": ("item", "token"),
    "catalog": (),
    "statistics": ("item", "category"),
    "sequences": ("history", "open", "pool"),
    "samples": (),
}
FIGURES = ("ctr_auc", "l2r_auc", "l2r_purchase_auc", "fifp_auc", "ctr_log_loss")
"""Smooth ones: a calibration error jumps when a candidate changes its bin."""
LEARNT = "progressive_ppp_loss"
"""For PPP one of the training, on what it had not learnt yet: precision jumps by a twentieth when
one of the day's two dozen questions is answered otherwise."""


def rows(store: Store) -> dict[str, int]:
    """Rows by partition."""
    found = {}
    for stage, names in TABLES.items():
        for day in DAYS:
            for leaf in [(name,) for name in names] or [()]:
                partition = store.partition(stage, day, *leaf)
                found[partition.key] = partition.manifest().rows if partition.exists() else 0
    return found


def figures(chain: Chain) -> dict[str, float | None]:
    """The evaluation's figures, to four digits."""
    (name,) = chain.store.names("reports/offline")
    report = json.loads(chain.store.get(f"reports/offline/{name}/report.json") or b"")
    known = {figure["name"]: figure["value"] for figure in report["figures"]}
    (run,) = chain.store.names("checkpoints")
    tally = checkpoints.final(chain.store, run).manifest().lineage["tally"]
    known[LEARNT] = tally["figures"][LEARNT]
    return {
        name: None if known[name] is None else round(known[name], 4)
        for name in (*FIGURES, LEARNT)
        if name in known
    }


def found(chain: Chain) -> Mapping[str, Any]:
    """What `golden.json` holds."""
    return {"rows": rows(chain.store), "figures": figures(chain)}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        FILE.write_text(json.dumps(found(chains.run(Path(home))), indent=1) + "\n")
