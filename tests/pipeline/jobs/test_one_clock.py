"""All days of a home end at midnight of one clock, whatever its name."""

import json
import shutil
from pathlib import Path

import pytest

from features.raw.dataset import parse_description
from features.sequence import SequencesConfig
from infra.errors import ConfigError
from infra.manifest import MANIFEST
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events, samples, sequences
from tests import samples_log
from tests.samples_log import DATASET, DAYS, ZONE

BEAM = BeamConfig(buckets=2)
SAID = (
    rf"{DAYS[1]}/\w+ was built with the days of {ZONE}, .* time_zone = \"%s\".* a home of its own"
)


@pytest.fixture(scope="module")
def two_days(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    samples_log.write(samples_log.make(users=3), home)
    return samples_log.run(home, DAYS[:2])


@pytest.fixture
def store(two_days, tmp_path):
    shutil.copytree(two_days.root, tmp_path / "home")
    return Store(tmp_path / "home")


def read(store, day, zone):
    text = DATASET.replace(ZONE, zone)
    return events.run(store, day, parse_description(text, "small.toml"), beam=BEAM)


def extend(store, day, zone):
    sequences.run(store, day, SequencesConfig(), zone, BEAM)


@pytest.mark.parametrize("zone", ["Europe/London", "Asia/Kolkata", "Africa/Lagos"])
@pytest.mark.parametrize("swept", [False, True])
def test_events_of_another_clock_than_the_day_befores_are_refused_unpublished(store, zone, swept):
    if swept:
        store.partition("events", DAYS[1], "behaviors").remove()
    with pytest.raises(ConfigError, match=SAID % zone):
        read(store, DAYS[2], zone)
    assert not store.partition("events", DAYS[2], "behaviors").exists()


def test_sequences_go_on_by_the_clock_of_yesterdays(store):
    read(store, DAYS[2], ZONE)
    manifest = store.partition("events", DAYS[2], "behaviors").manifest()
    assert manifest.lineage["time_zone"] == ZONE
    with pytest.raises(ConfigError, match=SAID % "Europe/London"):
        extend(store, DAYS[2], "Europe/London")


def test_state_of_a_first_day_goes_by_the_clock_of_its_events(store):
    with pytest.raises(ConfigError, match=f"events/dt={DAYS[0]}/behaviors was built with"):
        extend(store, DAYS[0], "Europe/London")


def test_samples_go_by_the_clock_of_the_days_sequences(store):
    with pytest.raises(ConfigError, match=f"sequences/dt={DAYS[1]}/pool was built with"):
        samples.run(store, DAYS[1], samples.SamplesConfig(), "Europe/London", BEAM, 7)


def test_another_name_of_the_clock_will_do(store):
    read(store, DAYS[2], "Europe/Vienna")
    extend(store, DAYS[2], "Europe/Paris")


def test_a_home_that_was_imported_anew_may_be_built_by_another_clock_from_its_first_day(store):
    for day in DAYS[:2]:
        read(store, day, "Asia/Kolkata")
    for day in DAYS[:2]:
        extend(store, day, "Asia/Kolkata")


def test_days_of_older_releases_say_no_clock_and_are_gone_on_from(store):
    for key in (f"events/dt={DAYS[1]}/behaviors", f"sequences/dt={DAYS[1]}/history"):
        path = Path(store.root) / key / MANIFEST
        manifest = json.loads(path.read_text())
        del manifest["lineage"]["time_zone"]
        path.write_text(json.dumps(manifest))
    read(store, DAYS[2], "Europe/London")
    extend(store, DAYS[2], "Europe/London")
