"""A home is where it was meant to be, or is refused."""

from pathlib import Path

import pytest

from infra.errors import ConfigError
from infra.home import absolute, require_addressable, require_place
from infra.mlflow_client import Client
from infra.store import Store
from infra.tracking import TrackingConfig, tracking_uri


def test_a_tilde_that_no_shell_expanded_is_the_folder_of_its_user(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.chdir(tmp_path)
    assert absolute("~/log") == f"{tmp_path}/me/log"
    assert absolute("./~/log") == f"{tmp_path}/~/log"
    assert absolute("s3://bucket/~/log") == "s3://bucket/~/log"


def test_the_address_of_a_folder_is_that_folder():
    assert absolute("file:///srv/log") == "/srv/log"
    assert absolute("file://host/log") == "file://host/log"


def test_the_tilde_of_a_user_who_is_not_known_is_refused():
    with pytest.raises(ConfigError, match=r"^~nobody-here/log .* is \./~nobody"):
        absolute("~nobody-here/log")


def test_a_home_is_a_folder_or_can_become_one(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path)
    for home in ("new", "new/below", "link", "link/new"):
        require_place(str(tmp_path / home))
    (tmp_path / "lost").symlink_to(tmp_path / "not mounted")
    with pytest.raises(ConfigError, match=r"/lost is no folder\."):
        require_place(str(tmp_path / "lost"))
    for home in ("file", "file/new/below", "link/file"):
        with pytest.raises(ConfigError, match=r"/file is no folder\. Give a folder with --home or"):
            require_place(str(tmp_path / home))


def test_a_home_of_a_name_that_no_folder_can_have_is_refused(tmp_path):
    """Else whatever looks for it ends with the system's own "File name too long"."""
    require_place(str(tmp_path / ("x" * 255)))
    for long in ("x" * 256, "ö" * 128):  # bytes are counted
        with pytest.raises(ConfigError, match=r"at most 255 bytes .* has 256\. Give a shorter one"):
            require_place(str(tmp_path / "new" / long / "below"))


@pytest.mark.parametrize("home", ["s3://", "s3:///prefix", "memory://", "gs:///prefix"])
def test_an_address_without_a_bucket_is_no_home(home):
    with pytest.raises(ConfigError, match=rf"^the home {home} names no bucket\. Give s3://bucket"):
        require_place(home)
    for fine in ("s3://bucket", "memory://a/b", "hdfs:///users/shop"):
        require_place(fine)


@pytest.mark.parametrize("name", ["a?b", "a%20b", "job%2Fbranch"])
def test_a_home_that_no_address_of_sqlite_can_name_is_refused(tmp_path, name):
    with pytest.raises(
        ConfigError, match=r"has (\?|%20|%2F) in its path, .* Give a home without it, with"
    ):
        require_addressable(tmp_path / name)
    with pytest.raises(ConfigError, match="in its path"):
        tracking_uri(TrackingConfig(), Store(tmp_path / name))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["100%", "a%zz", "é 'b' (1)", "a#1", 'a"b;c&d=e', "a+b@c:d"])
def test_the_database_of_any_other_home_lies_in_it(tmp_path, name):
    home = tmp_path / name
    require_addressable(home)
    Client(tracking_uri(TrackingConfig(), Store(home))).search_experiments()
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert Path(home, "mlflow", "mlflow.db").stat().st_size
