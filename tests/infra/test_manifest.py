from dataclasses import replace

import pytest

from infra.manifest import FileEntry, Manifest
from infra.store import Store, stamps

FILES = [FileEntry(name=name, rows=1, bytes=3, sha256=name * 64) for name in "ab"]
MANIFEST = Manifest.of(FILES, {}, "")


@pytest.mark.parametrize("file", [0, 1])
@pytest.mark.parametrize(
    ("change", "same"), [({"sha256": "0" * 64}, False), ({"name": "other", "low": 7}, True)]
)
def test_the_content_changes_with_the_bytes_of_any_file_and_not_with_their_names(
    file, change, same
):
    files = list(MANIFEST.files)
    files[file] = replace(files[file], **change)
    assert (replace(MANIFEST, files=tuple(files)).content == MANIFEST.content) is same


def test_stamps_are_of_those_that_are_published(tmp_path):
    there, absent = (Store(tmp_path).partition("samples", None, name) for name in ("a", "b"))
    with there.publish() as attempt:
        attempt.record([attempt.write_bytes("one", b"1")])
    assert stamps([absent, there]) == {there.key: there.manifest().stamp}
