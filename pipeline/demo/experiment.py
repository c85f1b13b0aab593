"""The demo's experiment: the champion's line against the first model with its scores shuffled.

A rival that is worse on purpose: it looks healthy, answers in time, and puts the wrong items on
top. The DAG `dupn_ab_test` registers the experiment, the marketplace lives a day in which both rank
pages, and the DAG's look at that day has to stop it. What is done already is not done again.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from evaluation import filed
from features.abtest import traffic
from infra.errors import OrchestrationError, RegistryError
from infra.scratch import scratch_folder
from pipeline import steps
from pipeline.abtest import simulated
from pipeline.release import bundling
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings
from serving import pyfunc
from serving.bundle import LOGGED, RECORDED

logger = logging.getLogger(__name__)

AB_TEST = "dupn_ab_test"
ID, RIVAL = "first-shuffled", "first"
DECLARATION = """
id = "{id}"
first_day = {day}
planned_days = 1
before_days = 3

[arms]
{line} = 0.5
{rival} = 0.5

[rule]
minimum_effect = 0.05
"""

Follow = Callable[[str, Mapping[str, Any]], None]
"""Trigger a DAG with a conf and wait until it has ended well."""


def run(settings: Settings, day: date, follow: Follow, conf: Mapping[str, Any]) -> None:
    """Declare the experiment, live its day, look at it.

    Raises:
        OrchestrationError: the rival was not stopped.
    """
    store, declaration = settings.store, declared(settings, day)
    if traffic.ended(store, ID) is not None:
        logger.info("%s: the experiment %s has ended already", AB_TEST, ID)
        return
    if ID not in traffic.started(store):
        line_of_its_own(settings, "1", RIVAL)
        follow(AB_TEST, {**conf, "declaration": declaration})
    live(settings, day)
    follow(AB_TEST, {**conf, "day": day.isoformat()})
    ended = traffic.ended(store, ID)
    if ended is None or ended["outcome"] != "stop":
        raise OrchestrationError(
            f"the experiment {ID} should have stopped a rival with shuffled scores: {ended}. "
            f"Look at {store.address(filed.experiment(ID))}."
        )


def declared(settings: Settings, day: date) -> str:
    """The TOML that is pasted into the form."""
    return DECLARATION.format(id=ID, day=day, line=settings.line, rival=RIVAL).strip()


def live(settings: Settings, day: date) -> None:
    """A day whose pages are ranked by both arms, and the stages that the next night builds on."""
    if settings.store.partition("samples", day).exists():
        return
    arms = {settings.line: f"line:{settings.line}", RIVAL: f"shuffled:line:{RIVAL}"}
    wanted = simulated.Wanted(
        days=1, first=day, arms=arms, shares=dict.fromkeys(arms, 0.5), salt=ID
    )
    simulated.run(settings, wanted)
    steps.quality(settings, day, "events")
    steps.samples(settings, day)
    steps.quality(settings, day, "samples")
    logger.info("the marketplace has lived %s, ranked by %s", day, " and ".join(arms.values()))


def line_of_its_own(settings: Settings, number: str, line: str) -> str:
    """A version's model once more, as the newest of another line, which is the challenger now.

    Returns:
        The number of the new version.

    Raises:
        RegistryError: there is no such version of dupn's own.
    """
    registry = registry_of(settings)
    source = registry.version(number)
    if source is None or "run_key" not in source.tags:
        raise RegistryError(f"{number} is no version that dupn registered. See `dupn status`.")
    known = [one for one in registry.versions() if one.tags.get("line") == line]
    if not known:
        with scratch_folder() as scratch:
            folder = registry.download(number, LOGGED, scratch)
            asked = json.loads((folder / RECORDED).read_text())[0]["question"]
            uri = pyfunc.log(folder, source.run_id, asked, f"{line}, of version {number}")
        known = [registry.register(uri, source.run_id, {**source.tags, "line": line})]
    rival = known[-1]
    bundling.ensure(settings, registry, rival.number, rival.source)
    registry.challenge(rival.number, f"version {number} as a line of its own")
    return rival.number
