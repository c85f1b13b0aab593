"""Killed at any write, a data job done again leaves what an undisturbed one leaves."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chain import EVALUATED
from tests.drills.drill import Warm, copy, killed, picture, share_out, whole

FOLDERS = {
    "events": ("events", "rejects"),
    "vocabulary": ("vocabulary", "catalog"),
    "statistics": ("statistics",),
    "sequences": ("sequences",),
    "samples": ("samples",),
}
"""What each step publishes."""


class Job:
    """One step on the last day, with a day before it and none (or another's) of that day."""

    def __init__(self, warm: Warm, step: str, data: Path, folder: Path) -> None:
        self.warm, self.step = warm, (step, {"day": EVALUATED})
        self.folders = [f"{name}/dt={EVALUATED}" for name in FOLDERS[step]]
        self.start, self.work = folder / "start", folder / "work"
        copy(data, self.start)
        for name in self.folders:
            (self.start / name).rename(folder / name.partition("/")[0])
        copy(self.start, self.work)
        self.passed = warm.done(self.work, self.step).passed
        self.after = self.seen(self.work)

    def seen(self, work: Path) -> dict[str, str]:
        return picture(work, *self.folders)

    def survives(self, numbers: Sequence[int]) -> None:
        share_out(numbers, [self.work, self.work.with_name("beside")], self._survives)

    def _survives(self, work: Path, kill_at: int) -> None:
        copy(self.start, work)
        before = self.seen(work)
        told = self.warm.run(work, self.step, kill_at=kill_at)
        assert killed(told), (kill_at, told)
        whole(self.seen(work), before, self.after)
        self.warm.done(work, self.step)
        assert self.seen(work) == self.after, self.passed[kill_at]

    def boundaries(self, *words: str) -> list[int]:
        found = [n for n, name in enumerate(self.passed) if any(word in name for word in words)]
        assert found, f"nobody writes {words}: {self.passed}"
        return found


@pytest.fixture
def job(request, warm, data, tmp_path):
    return Job(warm, request.param, data, tmp_path)


@pytest.mark.drill
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("job", ["events", "sequences", "samples"], indirect=True)
def test_killed_at_every_write(job):
    assert len(job.passed) > 8
    job.survives(range(len(job.passed)))


@pytest.mark.drill
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("job", ["vocabulary", "statistics"], indirect=True)
def test_killed_between_the_tables_of_a_step(job):
    job.survives(job.boundaries("put _manifest"))


@pytest.mark.drill
@pytest.mark.parametrize("job", ["events"], indirect=True)
def test_what_was_published_before_holds_until_it_is_replaced(job, warm):
    """The day was published without its late rows; then it is done again, and killed."""
    copy(job.start, job.work)
    warm.done(job.work, job.step, pairs=("events.lookback_days=0",))
    assert job.seen(job.work) != job.after
    copy(job.work, job.start)
    job.survives(job.boundaries("_manifest", "rm_file"))
