"""Settings refuse what they do not know, and say what was meant."""

from collections.abc import Mapping
from datetime import date, timedelta

import pytest

from features.items.statistics import StatisticsConfig
from features.vocabulary import VocabularyConfig
from infra.config import Config, apart, build, flatten, load_toml, merge, overrides, preset, told
from infra.errors import ConfigError
from pipeline.settings import Settings
from training.config import Task


class Gate(Config):
    max_auc_drop: float = 0.01


class Train(Config):
    epochs: int = 1
    learning_rate: float = 0.1


class Root(Config):
    seed: int = 1
    train: Train = Train()
    gate: Gate = Gate()


def test_later_layers_win_and_tables_merge():
    assert merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}) == {"a": {"x": 1, "y": 3}}
    settings = build(Root, {"gate": {"max_auc_drop": 0.5}}, overrides(["seed=3"]))
    assert (settings.seed, settings.gate.max_auc_drop) == (3, 0.5)


def test_a_typo_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"Did you mean gate\.max_auc_drop"):
        build(Root, overrides(["gate.max_auc_dorp=1"]))


def test_initials_and_parts_of_a_name_are_understood():
    with pytest.raises(ConfigError, match=r"Did you mean train\.learning_rate\?"):
        build(Root, overrides(["train.lr=0.1"]))
    with pytest.raises(ConfigError, match=r"Did you mean train\.learning_rate\?"):
        build(Root, overrides(["train.rate=0.1"]))


def test_a_wrong_value_is_named():
    with pytest.raises(ConfigError, match=r"seed = 'many'"):
        build(Root, overrides(["seed=many"]))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(ConfigError, match=r"learning_rate = -?(nan|inf) is refused: .* finite"):
        build(Root, overrides([f"train.learning_rate={value}"]))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "wide.toml").write_bytes("seed = 1".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"wide\.toml is not UTF-8.*Save it as UTF-8"):
        load_toml(tmp_path / "wide.toml")
    (tmp_path / "dir.toml").mkdir()
    with pytest.raises(ConfigError, match=r"dir\.toml cannot be read: Is a directory"):
        load_toml(tmp_path / "dir.toml")


def test_an_override_needs_a_value():
    with pytest.raises(ConfigError, match=r"--set seed"):
        overrides(["seed"])


def test_values_are_toml_else_text():
    assert overrides(["a.b=[1, 2]", "c=true", "d=word"]) == {
        "a": {"b": [1, 2]},
        "c": True,
        "d": "word",
    }


def test_a_number_is_one_however_it_was_written():
    settings = build(Root, overrides(["seed=1_000", "train.epochs=0x10"]))
    assert (settings.seed, settings.train.epochs) == (1000, 16)
    assert type(settings.seed) is int


@pytest.mark.parametrize("token", ["8675309123456", "0x1F", "1_000", "+5", "007"])
def test_a_token_that_reads_as_a_number_is_the_text_that_was_given(token):
    assert build(Settings, overrides([f"serve.token={token}"])).serve.token == token


@pytest.mark.parametrize(
    "pair",
    [
        "serve.token=[86753]",
        "serve.token=86753.5",
        "tracking.uri=86753",
        "alerts.webhook={a = 86753}",
        "alerts.smtp_user=[86753]",
        "alerts.smtp_host=[86753]",
        "serve=86753",
    ],
)
def test_what_may_be_a_login_is_not_told_where_it_is_refused(pair):
    name = pair.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^{name} is refused: Input .*not told, since") as told:
        build(Settings, overrides([pair]))
    assert "86753" not in str(told.value)


def test_spaces_around_name_and_value_count_for_nothing():
    assert overrides([" train.epochs = 2 ", "name = a word "]) == {
        "train": {"epochs": 2},
        "name": "a word",
    }


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("seed=1, a.b=word,", ["seed=1", "a.b=word"]),
        ('t=["ctr", "l2r"],seed=1', ['t=["ctr", "l2r"]', "seed=1"]),
        ("a=[[1, 2], [3]],b={x = 1, y = 2},c=3", ["a=[[1, 2], [3]]", "b={x = 1, y = 2}", "c=3"]),
        (r"""a="x,\",]",b='y,z',c=1""", [r'a="x,\",]"', "b='y,z'", "c=1"]),
        ("a=don't,b=can't", ["a=don't", "b=can't"]),
    ],
)
def test_pairs_in_one_text_are_parted_by_commas_but_those_of_their_values(text, pairs):
    assert apart(text) == pairs


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Root().seed = 2


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError, match="demo, drift, paper, smoke"):
        preset("huge")


def test_broken_toml_names_file_and_line(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("a = 1\nb = \n")
    with pytest.raises(ConfigError, match=r"mine\.toml.*line 2"):
        load_toml(file)


def other(value):
    """Another value of its kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case date():
            return value + timedelta(days=1)
        case tuple():
            return value[:-1] if value else ("x",)
        case dict():
            return {} if value else {Task.CTR: 2.0}
        case None:
            return 1


def changed(config):
    """Names of the settings, and all of them with that one changed."""
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Config):
            inner = ((f"{name}.{one}", copy) for one, copy in changed(value))
        else:
            inner = [(name, other(value))]
        for one, copy in inner:
            yield one, config.model_copy(update={name: copy})


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # `uri = 1` is no text
def test_the_digest_changes_with_any_setting():
    parts = [value for _, value in Settings() if isinstance(value, Config)]
    for config in (Settings(), *parts):
        digests = {name: copy.digest() for name, copy in changed(config)}
        assert len({config.digest(), *digests.values()}) == 1 + len(digests), type(config)
        assert config.model_copy().digest() == config.digest()


@pytest.mark.parametrize("config", [VocabularyConfig(), StatisticsConfig()])
def test_what_is_decided_changes_with_every_setting_but_bounds_of_memory(config):
    same = {name for name, copy in changed(config) if copy.decided_by() == config.decided_by()}
    assert same == {"rows_per_batch", "rows_per_range"}
    assert config.decided_by(seed=1) != config.decided_by(seed=2)


def test_the_order_of_a_tables_entries_decides_nothing():
    one, other = ({"item": 2, "token": 3}, {"token": 3, "item": 2})
    made = [VocabularyConfig(min_count=counts).decided_by() for counts in (one, other)]
    assert made[0] == made[1]


def test_nested_names_are_joined_by_dots():
    assert flatten({"a": {"b": {"c": 1}, "d": 2}, "e": 3}) == {"a.b.c": 1, "a.d": 2, "e": 3}


class Places(Config):
    all: tuple[str, ...] = ("s3://me:s3cret@one/a", "here")
    by_name: Mapping[str, tuple[str, ...]] = {"two": ("http://me:s3cret@two/b",)}


class Told(Config):
    places: Places = Places()
    seed: int = 1


def test_logins_in_addresses_are_not_told_wherever_they_stand_in_a_setting():
    assert told(Told()) == {
        "places": {"all": ["s3://one/a", "here"], "by_name": {"two": ["http://two/b"]}},
        "seed": 1,
    }
