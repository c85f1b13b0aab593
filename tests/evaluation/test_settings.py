"""Lists of edges and days that nothing could be measured by are refused by name."""

import pytest

from evaluation.settings import EvaluateConfig, WatchConfig
from infra.config import build, overrides
from infra.errors import ConfigError


@pytest.mark.parametrize(
    ("edges", "said"),
    [
        ("[50, 10]", r"\[50, 10\] is refused: .*lie above the one before it; sort them"),
        ("[5, 5]", r"\[5, 5\] is refused: .*lie above the one before it"),
        ("[0, 5]", r"0 = 0 is refused: .*greater than or equal to 1"),
    ],
)
def test_edges_that_give_no_slices_are_refused(edges, said):
    with pytest.raises(ConfigError, match=rf"activity_edges( = |\.){said}"):
        build(EvaluateConfig, overrides([f"activity_edges={edges}"]))


@pytest.mark.parametrize("name", ["ages", "back"])
def test_days_to_look_back_are_whole_days_each_named_once(name):
    with pytest.raises(ConfigError, match=rf"{name}\.1 = 0 is refused"):
        build(WatchConfig, overrides([f"{name}=[1, 0]"]))
    with pytest.raises(ConfigError, match=rf"{name} = .*3 stands there twice; name it once"):
        build(WatchConfig, overrides([f"{name}=[3, 1, 3]"]))
    assert build(WatchConfig, overrides([f"{name}=[]"]))  # nobody is asked
