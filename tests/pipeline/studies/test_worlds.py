"""The marketplace that a study learns from: what was cut off is made to its end."""

import logging
from datetime import timedelta

from infra.progress import quiet
from pipeline.studies import worlds
from tests import nights
from tests.nights import DAYS


def test_a_world_that_was_cut_off_before_its_last_behaviours_is_lived_to_its_end(tmp_path):
    """Killed after the last state was written, a moment before the day was whole."""
    settings, days = nights.settings(tmp_path), [DAYS[0], DAYS[0] + timedelta(days=1)]
    with quiet() as silent:
        worlds.build(settings, days, silent)
        whole = settings.store.partition("samples", days[-1]).digest()
        for part in (("samples",), ("raw", "behaviors")):
            settings.store.partition(part[0], days[-1], *part[1:]).take_back()
        worlds.build(settings, days, silent)
    assert settings.store.partition("samples", days[-1]).digest() == whole


def test_a_world_is_lived_within_the_bar_of_its_study(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    settings = nights.settings(tmp_path)
    with quiet() as silent:
        worlds.build(settings, DAYS[:1], silent)
    assert [said for said in caplog.messages if said.startswith(f"simulate {DAYS[0]}: ")]
    assert not [said for said in caplog.messages if said.startswith("simulate: ")]
