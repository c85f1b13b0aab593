"""What the challenger's line learns of a day of an experiment that is looked at once more."""

from datetime import date

from infra import run_key
from pipeline.learn.updating import promoted
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings
from training import checkpoint as checkpoints
from training.ancestry import Ancestry


def learnt_since(settings: Settings, day: date) -> str:
    """That the line's promoted version has learnt a day in another night; empty if it has not.

    A look that is mended late finds it so: the nights after it took the day along. Of the version's
    own night nothing is said, which an update finds done; nor where its checkpoint is gone, which
    an update refuses.
    """
    key = promoted(settings, registry_of(settings)).tags["run_key"]
    final = checkpoints.final(settings.store, key)
    lineage = final.manifest().lineage if final.exists() else {"days": ()}
    own = key == run_key.of(settings.line, day) and "parent" in lineage
    if own or not Ancestry.of_lineage(lineage).has(day):
        return ""
    return f"{key} is promoted and has learnt {day} already: there is nothing to learn"
