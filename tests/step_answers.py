"""Steps of a night that do nothing and answer what a test says."""

import json

from evaluation.gate import Outcome
from pipeline import steps
from pipeline.learn import recipes
from pipeline.nights.outcomes import Learnt
from pipeline.release import verdicts

DATA = ("simulate", "events", "vocabulary", "statistics", "sequences", "samples", "sweep")
RELEASE = ("evaluate", "bundle", "canary", "register", "promote", "check", "refresh", "represent")
QUIET = {"abnormal": "", "lost": ""}
LET_THROUGH = {"promoted": True, "outcome": Outcome.PROMOTE, "failed": []}


def answering(monkeypatch, run):
    """What they answer in a night that goes well, by name, for a test to change.

    Of `quality` it is the error that it raises.
    """
    said = {
        "quality": None,
        "update": {"run": run, "outcome": Learnt.TRAINED, **QUIET},
        "gate": LET_THROUGH | {"champion": "dupn-2026-03-12", "role": "champion"},
        "watch": {"alerts": [], "page": ""},
    }

    def quality(*_):
        if said["quality"]:
            raise said["quality"]
        return {}

    def gate(settings, day, run):
        verdict = {"run": run, "day": f"{day}", **said["gate"]}
        settings.store.put(verdicts.key(run), json.dumps(verdict))
        return verdict

    for step in (*DATA, *RELEASE):
        monkeypatch.setattr(steps, step, lambda *_, **__: {})
    monkeypatch.setattr(steps, "quality", quality)
    monkeypatch.setattr(steps, "update", lambda *_: said["update"])
    monkeypatch.setattr(steps, "gate", gate)
    monkeypatch.setattr(steps, "watch", lambda *_, **__: said["watch"])
    monkeypatch.setattr(recipes, "tonight", lambda settings: settings)
    return said
