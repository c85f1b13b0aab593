from datetime import date

import pytest

from infra import manifest, run_key
from infra.store import Store

DAY = date(2026, 3, 2)


@pytest.mark.parametrize("line", ["dupn", "2026", "with-dashes", "of-2026-03-01", "a b;c", "1e5"])
def test_a_key_is_taken_apart_as_it_was_put_together(line):
    key = run_key.of(line, DAY)
    assert (run_key.is_one(key), run_key.line(key), run_key.until(key)) == (True, line, f"{DAY}")


@pytest.mark.parametrize(
    "name", ["", "r", "2026-03-02", "-2026-03-02", "dupn-2026-3-2", "all-joint-seed-1", "dupn-"]
)
def test_a_name_of_something_else_has_neither_line_nor_day(name):
    assert (run_key.is_one(name), run_key.line(name), run_key.until(name)) == (False, "", "")


def test_a_checkpoint_is_of_the_run_that_its_place_names(tmp_path):
    key = run_key.of("with-dashes", DAY)
    there = Store(tmp_path).partition("checkpoints", None, key, "final")
    assert run_key.of_checkpoint(there.key) == key


def test_a_lost_checkpoint_is_made_again_up_to_the_day_of_its_key():
    there = f"checkpoints/{run_key.of('with-dashes', DAY)}/final"
    assert f"dupn train --until {DAY} " in manifest.remedy(there)
    assert "dupn train --until D " in manifest.remedy("checkpoints/all-joint-seed-1/final")
