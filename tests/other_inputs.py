"""A checkpoint as it would be if its network had been trained with other inputs."""

import json
from pathlib import Path
from typing import Any

from infra.store import MANIFEST, Partition


def learnt_with(checkpoint: Partition, **sizes: Any) -> None:
    """Its recipe with these sizes; None takes one out."""
    manifest = Path(checkpoint.path, MANIFEST)
    content = json.loads(manifest.read_text())
    told = content["lineage"]["recipe"]["sizes"] | sizes
    content["lineage"]["recipe"]["sizes"] = {k: v for k, v in told.items() if v is not None}
    manifest.write_text(json.dumps(content))
