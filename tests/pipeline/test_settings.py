"""Where settings come from, and what no layer of them may say."""

import pytest

from infra.errors import ConfigError
from pipeline import settings_page
from pipeline.settings import load


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Of this test alone."""
    for name in ("DUPN_HOME", "DUPN_SET"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_home_among_the_settings_is_refused_and_not_ignored(environment, tmp_path):
    sentence = r"home is no setting .* Give --home, or set DUPN_HOME"
    with pytest.raises(ConfigError, match=sentence):
        load("smoke", pairs=["home=/data"])
    (tmp_path / "mine.toml").write_text('home = "/data"')
    with pytest.raises(ConfigError, match=sentence):
        load(str(tmp_path / "mine.toml"), str(tmp_path))
    environment.setenv("DUPN_SET", "seed=1,home=/data")
    with pytest.raises(ConfigError, match=sentence):
        load("smoke")
    assert "`home`" not in settings_page.page()


def test_a_list_in_the_environment_is_one_value_and_what_is_wrong_there_is_said_of_it(environment):
    environment.setenv("DUPN_SET", 'train.tasks=["ctr", "l2r"],seed=3')
    found = load("smoke")
    assert ([task.value for task in found.train.tasks], found.seed) == (["ctr", "l2r"], 3)
    environment.setenv("DUPN_SET", "seed=3,quick")
    with pytest.raises(ConfigError, match=r"DUPN_SET: quick is not of the form a\.b=value"):
        load("smoke")


def test_a_seed_below_zero_is_refused_with_its_name():
    with pytest.raises(ConfigError, match=r"seed = -1 is refused: .*greater than or equal to 0"):
        load("smoke", pairs=["seed=-1"])
