"""Run in a process of its own: bring the service up where `import mlflow` fails, and ask it.

Arguments: home, key of the bundle, working folder, an item id. What it answered comes back as JSON.
"""

import gc
import json
import os
import shutil
import sys
from pathlib import Path


def main() -> None:
    sys.modules["mlflow"] = None  # any import of it, or of a part of it, fails from now on
    from fastapi.testclient import TestClient

    from pipeline.cli.serving_setup import setup
    from pipeline.settings import load
    from serving import accepting, running

    home, key, work, item = sys.argv[1:5]
    away = ["tracking.uri=http://127.0.0.1:9", "serve.exposures=false", f"serve.work={work}"]
    away.append("serve.timeout_s=60")  # a busy machine
    os.environ.update(running.environment(setup(load("smoke", home, away), None, key)))
    with TestClient(running.build()) as client:
        ready = client.get("/readyz").json()
        ranked = client.post("/v1/rank", json={"user_id": "nobody", "candidates": [item]})
    walked = {"walked": len(gc.get_objects()), "kept": gc.get_freeze_count()}
    shutil.rmtree(Path(os.environ[accepting.VARIABLE]).parent)
    said = {"ready": ready, "code": ranked.status_code, "ranked": ranked.json(), **walked}
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
