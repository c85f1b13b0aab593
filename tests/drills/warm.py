"""A warm process: everything is imported once, each step is done in a child forked from here.

Nothing is computed in this process, so that a child finds no threads of Beam, torch or Polars that
died in the fork. Orders come in and answers go out as lines of JSON (see `tests.drills.drill`).
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.drills.boundaries import Boundaries

HEAVY = (
    "alembic.command",
    "apache_beam.runners.portability.fn_api_runner.fn_runner",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking",
    "torch._dynamo",  # imported by an optimizer's first step
    "pipeline.jobs.events",
    "pipeline.jobs.samples",
    "pipeline.jobs.sequences",
    "pipeline.jobs.statistics",
    "pipeline.jobs.vocabulary",
    "pipeline.release.promotion",
    "pipeline.learn.updating",
)
"""What steps import when they need it, and what that imports late."""


def version(settings: Any, name: str) -> str:
    """A registered version that is no model: for promotions that nobody asks anything."""
    from pipeline.release.incumbent import registry_of
    from serving import published

    tags, model = {"run_key": name, "line": settings.line}, f"file:///models/{name}"
    number = registry_of(settings).register(model, "", tags).number
    bundle = published.place(settings.store, name, number)
    with bundle.publish(model_uri=model, format=published.FORMAT):
        return number


def night(settings: Any, day: Any) -> Any:
    """A whole night, as `dupn run nightly` does it."""
    from pipeline import chain

    return chain.nightly(settings, day)


STEPS = {"version": version, "night": night}
"""What drills need beside the steps of the pipeline."""


def serve() -> None:
    """Fork on `start`, reap on `look` what has ended, until the orders end."""
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "start":
            child = os.fork()
            if child == 0:
                work(order)
            answer(child)
        else:
            ended, status = os.waitpid(order["child"], os.WNOHANG)
            answer(os.waitstatus_to_exitcode(status) if ended else "")


def answer(what: int | str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def work(order: dict) -> None:
    """Do the steps of an order, write what came out, and leave."""
    folder = Path(order["folder"])
    os.dup2(2, 1)
    told: dict = {"passed": [], "results": [], "error": "", "sentence": ""}
    boundaries = Boundaries(order["kill_at"], order["wait_at"], folder)
    try:
        from datetime import date

        from pipeline import steps
        from tests.chain import smoke

        boundaries.install()
        settings = smoke(Path(order["home"]), *order["pairs"])
        for step, arguments in order["steps"]:
            for name in {"day", "first", "until"} & arguments.keys():
                arguments[name] = date.fromisoformat(arguments[name])
            do = STEPS.get(step) or getattr(steps, step)
            told["results"].append(do(settings, **arguments))
    except Exception as error:
        told["error"], told["sentence"] = type(error).__name__, str(error)
        traceback.print_exc()
    told["passed"] = boundaries.passed
    (folder / "told.json").write_text(json.dumps(told, default=str))
    os._exit(1 if told["error"] else 0)


if __name__ == "__main__":
    for module in HEAVY:
        importlib.import_module(module)
    answer(os.getpid())
    serve()
