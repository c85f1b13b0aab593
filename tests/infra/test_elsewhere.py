"""A store that cannot be reached is told as a sentence, and one that answers is believed."""

import copy
import errno
import sys

import pytest
import s3fs
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from infra.elsewhere import Elsewhere, require_create
from infra.errors import StoreError
from infra.store import Store
from tests.infra.test_store import DAY

NOBODY = "http://127.0.0.1:9"
LOGIN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
OTHERWISE = (
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Other ways to be known there."""
USES = {
    "exists": lambda store: store.partition("events", DAY).exists(),
    "manifest": lambda store: store.partition("events", DAY).manifest(),
    "names": lambda store: store.names("reports"),
    "get": lambda store: store.get("ledger/1.json"),
    "put": lambda store: store.put("reports/a.json", "a"),
    "put_new": lambda store: store.put_new("ledger/1.json", "a"),
}


@pytest.fixture
def amazon(monkeypatch):
    """Nobody listens, and nobody is known; clients are made anew."""
    s3fs.S3FileSystem.clear_instance_cache()
    for name in (*LOGIN, *OTHERWISE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_ENDPOINT_URL", NOBODY)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    yield monkeypatch
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("use", USES)
def test_a_bucket_without_credentials_says_what_to_set(amazon, use):
    with pytest.raises(StoreError, match=r"no credentials .*AWS_ACCESS_KEY_ID"):
        USES[use](Store(f"s3://dupn/without-{use}"))


def test_a_bucket_that_is_away_does_not_answer(amazon):
    for name in LOGIN:
        amazon.setenv(name, "test")
    with pytest.raises(StoreError, match=r"s3://dupn/away does not answer .*127\.0\.0\.1:9"):
        Store("s3://dupn/away").names("raw")


def test_an_endpoint_that_is_no_address_is_told_with_the_variable_it_stands_in(amazon):
    for name in LOGIN:
        amazon.setenv(name, "test")
    amazon.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(StoreError, match=r"\(Invalid endpoint: minio:9000\).*AWS_ENDPOINT_URL"):
        Store("s3://dupn/nowhere").names("raw")


def test_a_store_whose_package_is_absent_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(StoreError, match=r"gs://dupn/home cannot be reached.*gcsfs"):
        Store("gs://dupn/home").names("raw")


def test_an_address_that_nobody_knows_is_none():
    with pytest.raises(StoreError, match=r"foo://dupn is no address of a store"):
        Store("foo://dupn").names("raw")


@pytest.mark.parametrize("use", USES)
def test_a_store_that_looks_first_and_writes_then_is_no_home(use):
    with pytest.raises(StoreError, match=r"webhdfs://.* cannot be a home: WebHDFS cannot write"):
        USES[use](Store(f"webhdfs://127.0.0.1:9/without-{use}"))


class Unasked(AsyncFileSystem):
    """Who overwrites, whatever is asked, as some clients do."""

    async def _pipe_file(self, path, value, **_):
        raise NotImplementedError


@pytest.mark.parametrize("kind", [AsyncFileSystem, Unasked])
def test_a_client_that_leaves_out_what_it_does_not_know_is_none_either(kind):
    with pytest.raises(StoreError, match=f"{kind.__name__} cannot write a file only if none"):
        require_create("away://dupn", kind())


def test_s3_and_the_memory_of_a_process_write_a_name_once(amazon):
    for fs in (s3fs.S3FileSystem(anon=True), MemoryFileSystem()):
        require_create("s3://dupn", fs)


class Bucket:
    """A filesystem that raises what it is given."""

    def __init__(self, error):
        self.error = error

    def ls(self, path):
        raise self.error


@pytest.mark.parametrize("error", [FileNotFoundError("gone"), TypeError("our own mistake")])
def test_what_is_absent_and_our_own_mistakes_stay_what_they_are(error):
    with pytest.raises(type(error)):
        Elsewhere("s3://dupn", Bucket(error)).ls("a")


def test_a_refusal_is_told_as_one():
    with pytest.raises(StoreError, match=r"s3://dupn refuses us \(Access Denied\)"):
        Elsewhere("s3://dupn", Bucket(PermissionError("Access Denied."))).ls("a")


def test_a_full_disk_of_this_machine_is_not_the_store_s_fault():
    full = OSError(errno.ENOSPC, "No space left on device", "/var/lib/dupn/bundle")
    with pytest.raises(OSError, match="No space left"):
        Elsewhere("s3://dupn", Bucket(full)).ls("a")


def test_a_store_elsewhere_can_be_copied():
    fs = copy.copy(Elsewhere("s3://dupn", Bucket(TypeError("asked"))))
    with pytest.raises(TypeError, match="asked"):
        fs.ls("a")
