"""Users and passwords stay out of what is told."""

import pickle

import pytest

from infra.addresses import bare
from infra.errors import ConfigError, StoreError


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://dupn:s3cret@db.shop:5432/mlflow", "postgresql://db.shop:5432/mlflow"),
        ("https://token@mlflow.shop/a/b", "https://mlflow.shop/a/b"),
        ("http://u:p@ss@host/x", "http://host/x"),
        ("postgresql://u:a/b@host/mlflow", "postgresql://host/mlflow"),
        ("mysql://host/db?password=s3cret&tls=on", "mysql://host/db?password=***&tls=on"),
        ("ftp://me:pw@one/a, then sftp://me:pw@two/b.", "ftp://one/a, then sftp://two/b."),
    ],
)
def test_an_address_is_told_without_user_and_password(address, told):
    assert bare(address) == told


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/runs/a@b and models:/dupn@champion",
        "sqlite:////home/x/mlflow.db",
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
