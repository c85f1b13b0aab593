"""The gate's verdict on a candidate, as it is kept: `reports/gate/<run key>.json`."""

from infra.record import as_object, reading
from infra.store import Store

FOLDER = "reports/gate"


def key(run: str) -> str:
    """Of the verdict on a run key."""
    return f"{FOLDER}/{run}.json"


def outcome(store: Store, run: str) -> str:
    """What the gate said of a model; empty if it was not asked."""
    content = store.get(key(run))
    if content is None:
        return ""
    with reading(key(run), f"Run `dupn gate --day D --run {run}` again, D of its evaluation."):
        return str(as_object(content)["outcome"])
