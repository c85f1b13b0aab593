"""How a line is updated: the settings of a run, and what an experiment declares of the line.

A line is a recipe. What a recipe may say is what a model learns with and is judged by (`SECTIONS`);
data, world and store are the run's, since all lines live on one log. The newest experiment that
has a recipe for a line holds, also when the experiment has ended and the line has won.
"""

import logging
from collections.abc import Sequence

from evaluation.abtest.experiment import Recipe
from features.abtest import traffic
from infra import run_key
from infra.config import build, each, preset
from infra.errors import ConfigError, RecordCorrupt
from infra.record import as_object, reading
from infra.store import Store
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

SECTIONS = ("model", "train", "update", "evaluate", "gate", "compatibility")


def of_line(settings: Settings, line: str = "") -> Settings:
    """The settings with which a line is updated and judged; without a name, the settings' own.

    Raises:
        ConfigError: what an experiment declared of the line is not taken any more.
    """
    name = line or settings.line
    recipe = declared(settings.store, name)
    mine = settings if name == settings.line else settings.model_copy(update={"line": name})
    if recipe is None:
        return mine
    try:
        return applied(mine, recipe)
    except ConfigError as error:  # as one of a version of dupn that knew less
        raise ConfigError(
            f"the recipe of line {name}: {error} An experiment declared it and cannot be changed; "
            "a newer one that has a recipe for the line replaces it."
        ) from error


def tonight(settings: Settings) -> Settings:
    """The settings of the line that a night updates: the champion's, also where it has just won.

    A setting `line` that names the challenger's line is obeyed. One that names a line which was
    champion before is not: nights go on with the line that won.

    Raises:
        ConfigError: it names a line that is none of these.
    """
    registry = registry_of(settings)
    champion, rival = registry.champion(), registry.challenger()
    if champion is None:
        return of_line(settings)
    line = champion.tags.get("line", "")
    theirs = rival.tags.get("line", "") if rival is not None else ""
    if "line" not in settings.model_fields_set:
        return of_line(settings, line)
    if not line or settings.line in (line, theirs):
        return of_line(settings)
    if not any(one.facts.get("line") == settings.line for one in registry.look()):
        raise ConfigError(
            f"line = {settings.line!r} is neither the champion's line ({line}) nor the "
            f"challenger's ({theirs or 'there is none'}), and a night updates no other. Set it to "
            "one of these, or leave it out for the champion's."
        )
    logger.info("line %s is champion no more: the night goes on with %s", settings.line, line)
    return of_line(settings, line)


def require_updated(settings: Settings) -> None:
    """Before a night begins: refuse a setting `line` whose night would be another line's.

    Raises:
        ConfigError: as of `tonight`.
    """
    if "line" in settings.model_fields_set:  # else nothing is asked of MLflow, which takes a while
        tonight(settings)


def by_hand(settings: Settings, run: str = "") -> Settings:
    """The settings of a step that somebody runs alone.

    Those of the run's line; without a run, of the line that somebody named; else of the line that a
    night updates.
    """
    if run:
        return of_line(settings, run_key.line(run))
    return of_line(settings) if "line" in settings.model_fields_set else tonight(settings)


def declared(store: Store, line: str) -> Recipe | None:
    """What the newest experiment with a recipe for the line says.

    Raises:
        RecordCorrupt: of one that the line was an arm of, nobody knows whether it has.
    """
    lost = list[str]()
    for experiment in reversed(traffic.started(store)):
        try:
            recipe = _recipe(store, experiment, line)
        except RecordCorrupt:
            split = traffic.read(store, traffic.key(experiment, "traffic"))
            if split is None or line in split.get("shares", (line,)):
                raise
            continue  # only its arms have recipes
        if recipe is not None:
            _warn_of(lost, line, f"with that of experiment {experiment}")
            return recipe
        if _is_lost(store, experiment, line):
            lost.append(traffic.key(experiment, "experiment"))
    _warn_of(lost, line, "without")
    return None


def _is_lost(store: Store, experiment: str, line: str) -> bool:
    """Whether the declaration of an experiment that the line was an arm of is gone."""
    if store.get(traffic.key(experiment, "experiment")) is not None:
        return False
    split = traffic.read(store, traffic.key(experiment, "traffic")) or {}
    return line in split.get("shares", ())


def _warn_of(lost: Sequence[str], line: str, now: str) -> None:
    for place in lost:
        logger.warning(
            "%s is gone, which may have held the recipe of line %s: it is updated %s. Take it "
            "from a backup.", place, line, now,
        )  # fmt: skip


def _recipe(store: Store, experiment: str, line: str) -> Recipe | None:
    place = traffic.key(experiment, "experiment")
    content = store.get(place)
    if content is None:
        return None
    remedy = (
        f"Take it from a backup: it may hold a recipe, by which line {line} is updated. Without "
        "one, remove the file: the line is updated with the settings of the run then, or with the "
        "recipe that another experiment declares of it."
    )
    with reading(place, remedy):
        known = as_object(content)["experiment"]["recipes"]
        return Recipe.model_validate(known[line]) if line in known else None


def applied(settings: Settings, recipe: Recipe) -> Settings:
    """The settings with a recipe: its preset's sections instead of theirs, its own words over them.

    Raises:
        ConfigError: it speaks of what is not a line's to say, or of what is no setting.
    """
    strange = [pair for pair in recipe.settings if pair.partition(".")[0] not in SECTIONS]
    if strange:
        raise ConfigError(
            f"a recipe cannot say {strange[0]}: all lines share the data. It may say "
            f"{', '.join(SECTIONS)}."
        )
    base = build(Settings, preset(recipe.preset)) if recipe.preset else settings
    # What a recipe needs of the data is there.
    base = base.model_copy(update={"samples": settings.samples})
    made = build(Settings, *each(recipe.settings), over=base)
    return settings.model_copy(update={name: getattr(made, name) for name in SECTIONS})
