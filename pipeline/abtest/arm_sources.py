"""What an arm of `dupn abtest simulate` is called on the command line, and who stands behind it.

`policy`           the marketplace's logging policy
`predecessor`      Wide and MaxEnt, trained on the newest days of samples; kept while these are
                   the same, and the settings
`champion`, `7`    an alias or a number of the registry, asked anew every day
`line:NAME`        the promoted version of a line (champion or challenger), asked anew every day
`bundle:KEY`       a bundle of the store: `<run key>` or `<run key>/v<number>`; never changes
`shuffled:SOURCE`  any of them with its scores dealt anew within a page: a challenger to be stopped
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from evaluation.marketplace.arms import Arm
from infra.errors import ConfigError, RegistryError, ServingUnavailable
from pipeline.abtest.contenders import Before, Contender, Policy, Version
from pipeline.abtest.page_rankers import Audience
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings
from serving import published
from serving.reading import Reading
from serving.served import Served
from serving.versions import FromRegistry, OneFolder, Source, Versions

TRAINED = 10
"""Days of samples that the predecessor is trained on, at most: as many as the paper's."""
ALIASES = ("champion", "challenger")


def contender(settings: Settings, source: str, work: Path) -> Contender:
    """Who stands behind a source.

    Args:
        settings: of the home in which the arm lives.
        source: see above.
        work: a folder of this process.

    Raises:
        ConfigError: there is no such source.
        PartitionMissing: there is no such bundle.
    """
    kind, _, name = source.partition(":")
    if kind == "shuffled" and name:
        return Dealt(contender(settings, name, work))
    if source == "policy":
        return Policy()
    if source == "predecessor":
        return _predecessor(settings)
    share = settings.living.exploration
    if kind == "bundle" and name:
        return Version(_of_bundle(settings, name, work), share)
    if kind == "line" and name:
        return Version(_of_line(settings, name, work), share)
    if source in ALIASES or source.isdigit():
        return Version(_of_registry(settings, source, work), share)
    raise ConfigError(
        f"{source} names no arm. Say policy, predecessor, champion, challenger, a version number, "
        "line:NAME, bundle:KEY, or shuffled: and one of them."
    )


class Dealt:
    """Another contender whose scores are dealt anew within each page."""

    def __init__(self, other: Contender) -> None:
        self.other = other
        self.needs_histories, self.learns = other.needs_histories, other.learns

    def arm(self, variant: str, audience: Audience | None, today: date) -> Arm:
        """See `Contender`."""
        return replace(self.other.arm(variant, audience, today), shuffled=True)

    def learn(self, day: date) -> None:
        """See `Contender`."""
        self.other.learn(day)


def _predecessor(settings: Settings) -> Contender:
    days = settings.store.days("samples")[-TRAINED:]
    if not days:
        raise ConfigError(
            f"no samples are published under {settings.home}, so there is nothing that a "
            "predecessor could learn from. Run `dupn run initial` first."
        )
    made = Before(settings, days, nightly=False)
    made.begin()
    return made


def _of_bundle(settings: Settings, key: str, work: Path) -> Callable[[], Served]:
    name, folder = published.fetch(published.find(settings.store, key), work / "copies")
    return _served(OneFolder(folder, name, (key,)), key, settings, work / "bundle")


def _of_registry(settings: Settings, alias: str, work: Path) -> Callable[[], Served]:
    registry = registry_of(settings)
    own = work / alias
    reading = Reading()
    source = FromRegistry(registry, (alias,), work / "copies", own, reading)
    return _served(source, alias, settings, own, reading)


def _of_line(settings: Settings, line: str, work: Path) -> Callable[[], Served]:
    by_alias = {alias: _of_registry(settings, alias, work) for alias in ALIASES}

    def find() -> Served:
        return by_alias[_alias(settings, line)]()

    return find


def _served(
    source: Source, name: str, settings: Settings, own: Path, reading: Reading | None = None
) -> Callable[[], Served]:
    """The version behind a name, taken over as the service does."""
    versions = Versions(source, own, settings.serve.tolerance, reading=reading or Reading())

    def find() -> Served:
        versions.refresh()
        if name not in versions.served:
            why = "; ".join(versions.refused.values()) or "the registry names none"
            raise ServingUnavailable(f"{name} cannot rank: {why}. See `dupn status`.")
        return versions.served[name]

    return find


def _alias(settings: Settings, line: str) -> str:
    """The alias that a line's promoted version stands behind."""
    registry = registry_of(settings)
    for alias in ALIASES:
        version = registry.version(alias)
        if version is not None and version.tags.get("line") == line:
            return alias
    raise RegistryError(
        f"no version of line {line} is champion or challenger. Release one first; `dupn status` "
        "shows who is."
    )
