"""Where settings come from, what none may say, and how another program finds the same."""

import pytest

from evaluation.gate import GateConfig
from infra.errors import ConfigError
from pipeline import settings_page
from pipeline.settings import handed_on, load


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a preset and a data set, in which the command is given."""
    for name in ("HOME", "SET", "PRESET", "NIGHTLY_DATASET", "NIGHTLY_PRESET"):
        monkeypatch.delenv(f"DUPN_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text('seed = 3\ndataset = "log.toml"\n')
    return tmp_path


def elsewhere(variables, here, monkeypatch):
    """What a program finds that is started in another folder with these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (here / "home").mkdir()
    monkeypatch.chdir(here / "home")
    return load(variables["DUPN_PRESET"], str(here / "home"))


def test_a_value_may_have_commas_where_each_pair_has_a_line(monkeypatch):
    monkeypatch.setenv("DUPN_SET", 'train.tasks=["ctr", "l2r"]\nseed=5\n')
    found = load("smoke")
    assert (list(found.train.tasks), found.seed) == (["ctr", "l2r"], 5)
    monkeypatch.setenv("DUPN_SET", "train.epochs=4,seed=6")
    assert (load("smoke").train.epochs, load("smoke").seed) == (4, 6)


def test_a_data_set_of_a_path_is_that_of_the_folder_in_which_it_was_given(here):
    assert load("mine.toml").dataset == str(here / "log.toml")
    assert load("smoke", None, ["dataset=a/b.toml"]).dataset == str(here / "a" / "b.toml")
    assert load("smoke", None, ["dataset=rees46"]).dataset == "rees46"


def test_other_paths_among_the_settings_are_of_that_folder_too(here, monkeypatch):
    given = load("smoke", None, ["serve.work=live", "study.data=logs"])
    assert (given.serve.work, given.study.data) == (str(here / "live"), str(here / "logs"))
    assert (load("smoke").serve.work, load("smoke").study.data) == ("", "data")
    monkeypatch.setenv("HOME", str(here / "me"))
    assert load("smoke", None, ["serve.work=~/live"]).serve.work == str(here / "me" / "live")


def test_a_program_of_another_folder_finds_the_same_settings(here, monkeypatch):
    monkeypatch.setenv("DUPN_SET", "train.epochs=4,gate.min_users=3")
    pairs = ['train.tasks=["ctr", "l2r"]', "tracking.uri=http://u:p@host", "train.epochs=5"]
    pairs += ["serve.work=live", "study.data=logs"]
    mine = load("mine.toml", str(here / "home"), pairs)
    assert elsewhere(handed_on(mine, "mine.toml", pairs), here, monkeypatch) == mine


def test_nights_work_with_the_same_unless_the_environment_says_otherwise(here, monkeypatch):
    monkeypatch.setenv("DUPN_NIGHTLY_PRESET", "paper")
    found = handed_on(load("mine.toml"), "mine.toml", [])
    assert found["DUPN_NIGHTLY_DATASET"] == str(here / "log.toml")
    assert found["DUPN_NIGHTLY_PRESET"] == "paper"
    monkeypatch.setenv("DUPN_NIGHTLY_PRESET", "")  # as good as not set
    assert handed_on(load("mine.toml"), "mine.toml", [])["DUPN_NIGHTLY_PRESET"].endswith(
        "mine.toml"
    )


def test_a_home_among_the_settings_is_refused_and_not_ignored(here, monkeypatch):
    sentence = r"home is no setting .* Give --home, or set DUPN_HOME"
    with pytest.raises(ConfigError, match=sentence):
        load("smoke", pairs=["home=/data"])
    (here / "other.toml").write_text('home = "/data"')
    with pytest.raises(ConfigError, match=sentence):
        load("other.toml", str(here))
    monkeypatch.setenv("DUPN_SET", "seed=1,home=/data")
    with pytest.raises(ConfigError, match=sentence):
        load("smoke")
    assert "`home`" not in settings_page.page()


def test_a_list_in_the_environment_is_one_value_and_what_is_wrong_there_is_said_of_it(monkeypatch):
    monkeypatch.setenv("DUPN_SET", 'train.tasks=["ctr", "l2r"],seed=3')
    found = load("smoke")
    assert ([task.value for task in found.train.tasks], found.seed) == (["ctr", "l2r"], 3)
    monkeypatch.setenv("DUPN_SET", "seed=3,quick")
    said = r"DUPN_SET: part 2 of 2, after seed, is not of the form a\.b=value"
    with pytest.raises(ConfigError, match=said):
        load("smoke")


def test_a_password_with_a_comma_in_the_environment_is_not_told_and_may_stand_in_quotes(
    monkeypatch,
):
    uri = "postgresql://u:pa,ssw0rd@db/mlflow"
    monkeypatch.setenv("DUPN_SET", f"tracking.uri={uri}")
    said = r"DUPN_SET: part 2 of 2, after tracking\.uri, .* a value with a comma goes in quotes"
    with pytest.raises(ConfigError, match=said) as told:
        load("smoke")
    assert "ssw0rd" not in str(told.value)
    monkeypatch.setenv("DUPN_SET", f'seed=3,tracking.uri="{uri}"')
    assert load("smoke").tracking.uri == uri


@pytest.mark.parametrize("pair", ["seed=-1", "statistics.seed=-1", "train.threads=0"])
def test_a_seed_or_a_number_of_threads_that_cannot_be_is_refused_with_its_name(pair):
    said = pair.replace("=", " = ")
    with pytest.raises(ConfigError, match=rf"{said} is refused: .*greater than or equal to [01]"):
        load("smoke", pairs=[pair])


def test_a_training_of_no_task_is_refused_with_its_name():
    with pytest.raises(ConfigError, match=r"train\.tasks = \[\] is refused: .*at least 1 item"):
        load("smoke", pairs=["train.tasks=[]"])


def test_a_table_that_is_given_keeps_the_entries_that_it_does_not_name():
    found = load("demo", None, ["gate.floors.ctr_auc=0.7", "vocabulary.min_count.item=3"])
    assert found.gate.floors == {**GateConfig().floors, "ctr_auc": 0.7}
    assert found.vocabulary.min_count == {"item": 3, "token": 2}
    assert load("demo", None, ["train.weights.fifp=2"]).train.weights == {"ppp": 0.1, "fifp": 2.0}


def test_an_empty_table_empties_it_and_what_comes_later_is_all_there_is():
    assert load("smoke").gate.floors == {}
    assert load("smoke", None, ["gate.floors.ctr_auc=0.6"]).gate.floors == {"ctr_auc": 0.6}
    pairs = ["gate.floors={}", "gate.floors.l2r_auc=0.6"]
    assert load("demo", None, pairs).gate.floors == {"l2r_auc": 0.6}
    assert load("demo", None, ["train.weights={}"]).train.weights == {}
    assert load("demo", None, ["gate={}", "train={}"]) == load("demo")


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("vocabulary.min_count.itme=3", r"itme is not a vocabulary .*; did you mean item\?"),
        ("vocabulary.min_count.item=0", r"vocabulary\.min_count\.item = 0 is refused"),
        ("train.weights.ctr=-1", r"train\.weights\.ctr = -1 is refused"),
        ("study.shares.ctr=2", r"study\.shares\.ctr = 2 is refused"),
    ],
)
def test_what_stands_in_a_table_is_looked_at_too(pair, words):
    assert load("demo", None, ["vocabulary.min_count.profile_age=3"])
    with pytest.raises(ConfigError, match=words):
        load("demo", None, [pair])


def test_shares_of_users_are_given_whole():
    shares = {"dupn": 0.5, "rival": 0.5}
    pairs = ["serve.shares={dupn = 0.5, rival = 0.5}"]
    assert load("demo", None, pairs).serve.shares == shares


@pytest.mark.parametrize("name", ["a?b", "job%2Fbranch"])
def test_a_home_below_which_sqlite_has_no_address_is_refused_unless_mlflow_is_elsewhere(name, here):
    with pytest.raises(
        ConfigError, match=r"has (\?|%2F) in its path, .* Give a home without it, with"
    ):
        load("smoke", name)
    elsewhere = ["tracking.uri=http://mlflow:5000"]
    assert load("smoke", name, elsewhere).home == str(here / name)
    assert load("smoke", f"memory://{name}").home == f"memory://{name}"


def test_a_home_with_a_tilde_is_that_of_its_user(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "me"))
    monkeypatch.setenv("DUPN_HOME", "~/log")
    assert load("smoke").home == load("smoke", "~/log").home == str(here / "me" / "log")
