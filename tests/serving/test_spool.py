"""Where pages wait for the store: while it does not answer, and when their folder is removed."""

import logging
import shutil
from datetime import timedelta

import pytest

from infra.errors import StoreError
from infra.store import Store
from serving.exposures import ExposureLog
from tests.serving.test_exposures import DAY, NOON, exposure, lines

TOMORROW = NOON + 86_400_000


@pytest.fixture
def log(tmp_path):
    return ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")


def requests(log, day=DAY):
    return sorted(one["request_id"] for one in lines(log.store, day))


def test_a_store_that_is_away_for_long_is_told_once_and_not_by_file(tmp_path, caplog):
    (tmp_path / "home").write_text("a file where a folder is needed")
    logs = [ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC") for _ in range(3)]
    for minute in range(5):
        for one in logs:
            one.add(exposure(str(minute)))
            one.flush()
    assert len(caplog.records) == len(logs)
    assert "holds 1 such files" in caplog.text
    (tmp_path / "home").unlink()
    assert logs[0].flush() == 15


class Away(Store):
    """Takes nothing, and counts how often it is asked to."""

    asked = 0

    def put(self, key, content):
        self.asked += 1
        raise StoreError(f"{key} could not be written.")


def test_a_day_that_the_store_does_not_take_is_asked_for_once_a_flush(tmp_path):
    log = ExposureLog(Away(tmp_path / "home"), tmp_path / "spool", "UTC")
    for number in range(4):
        log.add(exposure(str(number)))
        log.flush()
    assert log.store.asked == 4


@pytest.mark.parametrize("refused", [DAY, DAY + timedelta(days=1)])
def test_a_day_that_the_store_does_not_take_keeps_no_other_day_waiting(log, refused):
    log.store.put(f"raw/dt={refused}/impressions", b"a file where a folder is needed")
    for number in range(3):
        log.add(exposure(f"a{number}"))
        log.add(exposure(f"b{number}", TOMORROW))
        assert log.flush() == 1
    assert len(list(log.spool.iterdir())) == 3


def test_a_folder_that_is_removed_loses_no_page(log):
    log.add(exposure("r1"))
    shutil.rmtree(log.spool)
    log.add(exposure("r2"))
    log.add(exposure("r3", TOMORROW))
    assert log.flush() == 2
    assert requests(log) == ["r1", "r2"]


def test_a_folder_that_is_removed_before_a_flush_loses_no_page(log):
    log.add(exposure("r1"))
    shutil.rmtree(log.spool)
    assert log.flush() == 1
    assert requests(log) == ["r1"]


def test_a_folder_that_cannot_be_made_again_at_a_flush_loses_no_page(log):
    log.add(exposure("r1"))
    shutil.rmtree(log.spool)
    log.spool.write_text("a file where the folder was")
    assert log.flush() == 0
    log.spool.unlink()
    assert log.flush() == 1
    assert requests(log) == ["r1"]


def test_what_was_written_before_a_folder_was_moved_away_is_moved_with_the_rest(log):
    log.add(exposure("r1"))
    log.spool.rename(log.spool.with_name("elsewhere"))
    assert log.add(exposure("r2"))
    log.flush()
    assert requests(log) == ["r1", "r2"]


def test_a_folder_that_comes_back_after_a_flush_has_each_page_once(log):
    log.add(exposure("r1"))
    away = log.spool.rename(log.spool.with_name("elsewhere"))
    log.spool.write_text("a file where the folder was")
    assert log.flush() == 0
    log.spool.unlink()
    away.rename(log.spool)
    log.add(exposure("r2"))
    log.flush()
    assert requests(log) == ["r1", "r2"]


def test_lost_pages_are_told_once_in_a_while(log, caplog):
    caplog.set_level(logging.WARNING)
    log.spool.rmdir()
    log.spool.write_text("a file where the folder was")
    assert not any(log.add(exposure(str(number))) for number in range(50))
    assert len(caplog.records) == 1
