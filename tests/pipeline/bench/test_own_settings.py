"""A bench measures what its protocol says, whatever the shell around it is set to."""

import pytest

from pipeline import settings
from pipeline.bench import gate, nights, runtime

OWN = {
    "gate": lambda: gate.chosen("/home", gate.FULL),
    "nights": lambda: nights.chosen("/home"),
    "runtime": lambda: runtime.chosen("/home", runtime.Size()),
}


@pytest.mark.parametrize("name", OWN)
def test_nothing_around_a_bench_changes_what_it_measures(name, monkeypatch):
    plain = OWN[name]()
    monkeypatch.setenv("DUPN_SET", "train.epochs=9,model.interaction=concat,seed=1")
    monkeypatch.setenv("DUPN_PRESET", "paper")
    assert settings.load().seed == 1, "the shell has settings of its own"
    assert OWN[name]() == plain


def test_a_bench_has_settings_of_its_own_beside_those_of_a_preset():
    chosen = OWN["gate"]()
    assert (chosen.home, chosen.seed, chosen.marketplace.users) == ("/home", 31, 5000)
