"""Words find the titles that hold them."""

import tempfile

import pyarrow as pa
import pytest

from features.query import words
from infra.errors import PartitionCorrupt, StoreError
from serving import recall
from serving.recall import Recall

TITLES = pa.array(
    [None, None, "red summer dress", "red shoes", "blue shoes of leather", None, "红色连衣裙"]
)
FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) for letter in "iPhone12")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recall") / "index"
    recall.build(TITLES, folder)
    return Recall(folder)


def test_more_words_and_rarer_words_come_first(found):
    assert found.search("red shoes", 10).tolist()[0] == 3
    assert set(found.search("red shoes", 10).tolist()) == {2, 3, 4}
    assert found.search("leather shoes", 1).tolist() == [4]


def test_a_word_that_is_asked_for_twice_counts_once(found):
    assert found.search("dress shoes", 10).tolist()[0] == 2
    assert found.search("dress shoes shoes shoes", 10).tolist()[0] == 2


def test_of_titles_of_one_length_the_one_that_holds_a_word_twice_comes_first(tmp_path):
    recall.build(pa.array([None, None, "red dress shoes", "red red dress"]), tmp_path / "index")
    assert Recall(tmp_path / "index").search("red", 2).tolist() == [3, 2]


def test_an_index_that_is_built_again_holds_the_new_titles_only(tmp_path):
    for titles in (TITLES, pa.array([None, None, None, "red shoes"])):
        recall.build(titles, tmp_path / "index")
    assert Recall(tmp_path / "index").search("red blue shoes", 9).tolist() == [3]


def test_who_asks_for_no_items_gets_none(found):
    assert found.search("red", 0).tolist() == []


def test_case_and_punctuation_do_not_matter(found):
    assert found.search("RED, Dress!", 1).tolist() == [2]


def test_words_without_spaces_are_found(found):
    assert found.search("连衣裙", 5).tolist() == [6]


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("iphone12", f"{FULL_WIDTH} ケース"),
        (FULL_WIDTH, "iPhone12 ケース"),
        ("リモコン", "ﾃﾚﾋﾞ ﾘﾓｺﾝ"),
        ("ﾘﾓｺﾝ", "テレビリモコン"),
        ("iphone siyah", "İPHONE KILIFI SİYAH"),
        ("straßenkarte", "STRASSENKARTE"),
        ("gross", "groß"),
    ],
)
def test_width_and_case_of_any_language_do_not_matter(tmp_path, query, title):
    recall.build(pa.array([None, None, "red", title]), tmp_path / "index")
    assert Recall(tmp_path / "index").search(query, 5).tolist() == [3]


def test_an_index_from_before_words_were_folded_is_found_as_it_was(tmp_path, monkeypatch):
    titles = pa.array([None, None, FULL_WIDTH, "İPHONE groß", "red shoes"])
    with monkeypatch.context() as older:
        older.setattr(recall, "search_words", words)
        recall.build(titles, tmp_path / "index")
    searcher = Recall(tmp_path / "index")
    asked = (FULL_WIDTH, "İphone", "groß", "shoes")
    assert [searcher.search(query, 5).tolist() for query in asked] == [[2], [3], [3], [4]]


def test_the_end_of_a_long_title_is_found(tmp_path):
    chinese = "夏季新款宽松显瘦气质女装雪纺碎花短袖中长款" + "连衣裙"
    english = " ".join(f"word{i}" for i in range(40)) + " leather"
    recall.build(pa.array([None, None, chinese, english]), tmp_path / "index")
    searcher = Recall(tmp_path / "index")
    assert searcher.search("连衣裙", 5).tolist() == [2]
    assert searcher.search("leather", 5).tolist() == [3]


@pytest.mark.parametrize("query", ["", "nothing", "AND OR NOT", '"(*:~^', "title:red row:2"])
def test_syntax_is_words_and_unknown_words_find_nothing(found, query):
    hits = found.search(query, 5).tolist()
    assert hits == ([] if "red" not in query else found.search("title red row 2", 5).tolist())


@pytest.fixture
def unlockable(tmp_path):
    """An index in whose folder nobody can write the lock, whatever their rights."""
    recall.build(TITLES, tmp_path / "index")
    lock = tmp_path / "index" / recall.LOCK
    lock.unlink(missing_ok=True)
    lock.mkdir()
    return tmp_path / "index"


def test_an_index_that_cannot_be_locked_is_read_and_nothing_is_left(
    unlockable, tmp_path, monkeypatch
):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    there = sorted(unlockable.iterdir())
    searcher = Recall(unlockable)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert sorted(unlockable.iterdir()) == there
    assert searcher.search("leather shoes", 1).tolist() == [4]
    assert set(searcher.search("red shoes", 10).tolist()) == {2, 3, 4}


def test_an_index_that_can_be_locked_nowhere_says_so(unlockable, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(StoreError, match=r"absent could not be written"):
        Recall(unlockable)


def test_a_spoilt_index_that_cannot_be_locked_is_named_where_it_lies(unlockable):
    for segment in unlockable.glob("*.store"):
        segment.write_bytes(b"")
    with pytest.raises(PartitionCorrupt, match=f"{unlockable} holds no index"):
        Recall(unlockable)


def test_an_index_that_is_spoilt_is_named(tmp_path):
    recall.build(TITLES, tmp_path / "index")
    (tmp_path / "index" / "meta.json").write_text("{")
    with pytest.raises(PartitionCorrupt, match="index holds no index of titles that can be read"):
        Recall(tmp_path / "index")
