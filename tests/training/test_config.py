"""Sizes that make no network are refused by name, before anything is made for it."""

import pytest

from infra.config import build, overrides
from infra.errors import ConfigError
from training.config import ModelConfig, TrainConfig
from training.peers.config import PeersConfig

PARTS = ("brand", "category", "tag", "type", "scenario", "gap", "daypart", "weekend")
WHOLE = ("item", "shop", "hidden", "attention", "query", "user", "profile", "icon")


@pytest.mark.parametrize("name", [*PARTS, *WHOLE])
def test_a_width_below_its_least_is_refused(name):
    least = 0 if name in PARTS else 1
    said = rf"{name}_dim = {least - 1} is refused: .*greater than or equal to {least}"
    with pytest.raises(ConfigError, match=said):
        build(ModelConfig, {f"{name}_dim": least - 1})
    assert getattr(build(ModelConfig, {f"{name}_dim": least}), f"{name}_dim") == least


@pytest.mark.parametrize(
    ("kind", "name"), [(ModelConfig, "ctr_hidden"), (PeersConfig, "deep_hidden")]
)
def test_hidden_layers_are_there_and_have_units(kind, name):
    for given, said in (("[]", r" = \[\] .*at least 1 item"), ("[8, 0]", r"\.1 = 0 is refused")):
        with pytest.raises(ConfigError, match=name + said):
            build(kind, overrides([f"{name}={given}"]))


def test_a_task_is_learnt_once():
    with pytest.raises(ConfigError, match=r"tasks = .*ctr stands there twice; name it once"):
        build(TrainConfig, {"tasks": ["ctr", "l2r", "ctr"]})
