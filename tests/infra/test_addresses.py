"""Users and passwords stay out of what is told."""

import pickle
import re
import time

import pytest

from infra.addresses import bare
from infra.errors import LONGEST, ConfigError, InputError, StoreError


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://dupn:s3cret@db.shop:5432/mlflow", "postgresql://db.shop:5432/mlflow"),
        ("https://token@mlflow.shop/a/b", "https://mlflow.shop/a/b"),
        ("http://u:p@ss@host/x", "http://host/x"),
        ("postgresql://u:a/b@host/mlflow", "postgresql://host/mlflow"),
        ("mysql://host/db?password=s3cret&tls=on", "mysql://host/db?password=***&tls=on"),
        ("mysql+pymysql://u:2024/Sommer@host/db", "mysql+pymysql://host/db"),
        ("postgresql://u:2024/5@host:5432/db", "postgresql://host:5432/db"),
        ("mysql://host/db?tls=on&Password=S3cret.", "mysql://host/db?tls=on&Password=***"),
        ("mysql://host/db?passwd=s&ssl_key=s&DB_PWD=s", None),
        ("http://host/?token=s and http://host/?a=1&client_secret=s", None),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3Ds", "mssql+pyodbc:///?odbc_connect=***"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER={A B};UID=sa;PWD=s", None),
        ("postgresql://host/db?user=u;password=s", "postgresql://host/db?user=***"),
        ("ftp://me:pw@one/a, then sftp://me:pw@two/b.", "ftp://one/a, then sftp://two/b."),
    ],
)
def test_an_address_is_told_without_user_and_password(address, told):
    assert told is None or bare(address) == told
    assert not re.search(r"=[sS]\b|S3|s3|Sommer", bare(address))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (
            "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=SEE&X-Amz-Credential=SEE",
            "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=***&X-Amz-Credential=***",
        ),
        (
            "https://b/k?AWSAccessKeyId=SEE&Signature=SEE",
            "https://b/k?AWSAccessKeyId=***&Signature=***",
        ),
        ("https://h/?sig=SEE&sv=1", "https://h/?sig=***&sv=1"),
        ("https://h/?X-Goog-Credential=SEE&page=2", "https://h/?X-Goog-Credential=***&page=2"),
        (
            "https://h/?Key-Pair-Id=SEE&authorization=SEE",
            "https://h/?Key-Pair-Id=***&authorization=***",
        ),
        (
            "https://f.azurewebsites.net/api/tell?code=SEE",
            "https://f.azurewebsites.net/api/tell?code=***",
        ),
    ],
)
def test_a_signed_address_is_told_without_what_signs_it(address, told):
    assert bare(address) == told


@pytest.mark.parametrize(
    "text",
    [
        "http://h/x?design=flat&signal=5&codec=av1&zip_code=8000",
        "http://127.0.0.1:5000/#/runs/a@b and models:/dupn@champion",
        "sqlite:////home/x/mlflow.db",
        "http://host:8080/a@b",
        "hdfs://namenode:8020/users/a@b?page=2&size=20",
        "s3://bucket/dupn/events",
        "write to a@example.com",
    ],
)
def test_what_holds_no_login_stays_as_it_is(text):
    assert bare(text) == text


def test_no_error_of_ours_quotes_a_password():
    error = StoreError("ftp://dupn:s3cret@store.shop/dupn could not be written.")
    assert str(error) == "ftp://store.shop/dupn could not be written."
    assert "s3cret" not in repr(error)
    assert str(pickle.loads(pickle.dumps(ConfigError(str(error))))) == str(error)


@pytest.mark.parametrize(
    "part",
    ["://a:b", "://", "://a", "://a:1/", "?", "?a", "&key", "a&b;c", "postgres+a", "@://:", "x"],
)
def test_the_time_in_which_a_text_is_told_grows_with_its_length_and_no_faster(part):
    """Four times as long a text took sixteen times as long, and a stranger chose its length."""

    def seconds(length):
        text = part * (length // len(part))
        begin = time.thread_time()  # of this thread alone, whatever else runs
        bare(text + "@")
        bare(text)
        return time.thread_time() - begin

    short, long = (min(seconds(length) for _ in range(3)) for length in (25_000, 100_000))
    assert long < 9 * short + 0.02


def test_an_error_is_no_longer_than_somebody_reads():
    error = InputError("x" * 1_000_000)
    assert (len(str(error)), str(error)[-4:]) == (LONGEST, "x...")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert len(str(InputError("x" * LONGEST))) == LONGEST
