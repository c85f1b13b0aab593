"""A form says what a run is made of; where it runs and whom it talks to is the workers' own."""

import pytest

from infra.config import known_keys
from infra.errors import ConfigError
from pipeline import form
from pipeline.demo import story
from pipeline.settings import Settings, handed_on, load, of_form

PROGRAM = 'beam.options=["--environment_type=x", "--environment_config=id"]'
OTHERS = [
    *("beam.runner=PortableRunner", PROGRAM, 'beam={runner="PortableRunner"}', "beam.options=[]"),
    *("tracking.uri=http://elsewhere", 'tracking={uri="http://elsewhere"}', "tracking.artifacts=x"),
    *("alerts.smtp_host=elsewhere", "alerts.webhook=http://elsewhere", " alerts.kinds = []"),
    *("serve.work=/etc", "runtime.host=0.0.0.0", "tracking.experiment=x"),
    "serve.histories=os:system",
]
OURS = ["beam.workers=2", "beam.buckets=2", "beam.passes=2", "train.epochs=2", "gate={floors={}}"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    for name in ("SET", *(one.removeprefix("DUPN_") for one in form.PRESETS)):
        monkeypatch.delenv(f"DUPN_{name}", raising=False)
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("pair", OTHERS)
def test_a_form_does_not_say_where_things_run_or_whom_they_talk_to(pair):
    said = r"^the form sets [a-z._]+, which no form may: .* Set it in DUPN_SET of the workers"
    with pytest.raises(ConfigError, match=said):
        of_form("smoke", [*OURS, pair])


def test_a_form_says_what_a_run_is_made_of():
    assert of_form("smoke", OURS) == load("smoke", None, OURS)


def test_every_address_and_program_among_the_settings_is_the_workers():
    ends = ("uri", "host", "port", "webhook", "runner", "options", "token", "user", "work")
    names = [name for name in known_keys(Settings) if name.rpartition(".")[2].endswith(ends)]
    assert len(names) > 10
    assert [name for name in names if not name.startswith(form.WORKERS)] == []


def test_a_preset_of_a_path_is_looked_at_like_the_form(home):
    path = home / "delivered.toml"
    path.write_text('seed = 3\n[tracking]\nuri = "http://elsewhere"\n')
    with pytest.raises(ConfigError, match=r"delivered\.toml sets tracking\.uri, which no form may"):
        of_form(str(path))
    path.write_text("seed = 3\n[beam]\nbuckets = 2\n")
    assert (of_form(str(path)).seed, of_form(str(path)).beam.buckets) == (3, 2)


@pytest.mark.parametrize("variable", form.PRESETS)
def test_the_preset_of_the_workers_says_everything(home, monkeypatch, variable):
    path = home / "ours.toml"
    path.write_text('[tracking]\nuri = "http://ours"\n')
    monkeypatch.setenv(variable, str(path))
    assert of_form(str(path)).tracking.uri == "http://ours"


def test_the_environment_of_the_workers_says_everything(monkeypatch):
    monkeypatch.setenv("DUPN_SET", "tracking.uri=http://ours,beam.runner=FlinkRunner")
    found = of_form("smoke", ["seed=3"])
    assert (found.tracking.uri, found.beam.runner, found.seed) == ("http://ours", "FlinkRunner", 3)


def test_the_demo_hands_on_by_the_environment_what_its_form_may_not_say(home, monkeypatch):
    path = home / "mine.toml"
    path.write_text('[alerts]\nwebhook = "http://ours"\n')
    pairs = ["seed=3", "tracking.uri=http://ours", "beam.buckets=2"]
    settings = load(str(path), str(home), pairs)
    variables = handed_on(settings, str(path), pairs)
    said = story.filled_in(settings, variables, pairs)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert said["overrides"].splitlines() == ["seed=3", "beam.buckets=2"]
    assert of_form(said["preset"], said["overrides"].splitlines()) == settings
