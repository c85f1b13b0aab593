"""A ledger that lacks an entry decides nothing, and says which file to restore."""

import pytest

from infra.errors import RecordCorrupt
from infra.ledger import Ledger, LedgerBroken
from infra.store import Store


@pytest.fixture
def ledger(tmp_path):
    """Three moves, all made."""
    ledger = Ledger(Store(tmp_path))
    for number in (1, 2, 3):
        ledger.finish(moved(ledger, number))
    return ledger


def moved(ledger, number):
    return ledger.append(ledger.entries(), action="promote", aliases={}, why=f"number {number}")


def file(tmp_path, number, suffix="json"):
    return tmp_path / f"ledger/{number:08d}.{suffix}"


@pytest.mark.parametrize("gone", [1, 2])
def test_an_entry_that_is_gone_is_named_and_comes_back_with_its_file(ledger, tmp_path, gone):
    kept = file(tmp_path, gone).read_bytes()
    file(tmp_path, gone).unlink()
    with pytest.raises(LedgerBroken, match=rf"ledger/0000000{gone}\.json, an entry, is gone\. Oth"):
        ledger.entries()
    file(tmp_path, gone).write_bytes(kept)
    assert moved(ledger, 4).number == 4


def test_the_newest_is_missed_by_what_lies_beside_it_and_goes_with_that(ledger, tmp_path):
    file(tmp_path, 3).unlink()
    with pytest.raises(LedgerBroken, match=r"remove ledger/00000003\.\*: the next look"):
        ledger.entries()
    file(tmp_path, 3, "done").unlink()
    assert moved(ledger, 3).number == 3


def test_an_entry_that_is_empty_is_named(ledger, tmp_path):
    file(tmp_path, 2).write_bytes(b"")
    with pytest.raises(RecordCorrupt, match=r"^ledger/00000002\.json cannot .* move the folder"):
        ledger.entries()
    file(tmp_path, 2).write_bytes(b'{"number": 2}')
    with pytest.raises(RecordCorrupt, match=r"missing 5 required"):
        ledger.entries()


def test_a_copy_beside_the_entries_is_none(ledger, tmp_path):
    for name in ("00000002 (1).json", "00000002.json.orig", "copy.json"):
        (tmp_path / "ledger" / name).write_bytes(file(tmp_path, 2).read_bytes())
    assert [one.number for one in ledger.entries()] == [1, 2, 3]
    assert ledger.count() == 3


def test_an_entry_that_came_while_the_folder_was_listed_is_not_missed(
    ledger, tmp_path, monkeypatch
):
    whole, listings = Store.listing, []

    def early(self, folder):
        found = whole(self, folder)
        listings.append(folder)
        return {n: f for n, f in found.items() if n[:8] != "00000002" or len(listings) > 1}

    monkeypatch.setattr(Store, "listing", early)
    assert len(ledger.entries()) == 3
