"""An MLflow client whose failures say what they are.

MLflow raises one class for all that can go wrong, and under it SQLAlchemy, requests and the system
raise their own. Here they are told apart, at the source: a server that does not answer may answer
in twenty seconds (`RegistryUnavailable`, retried by the DAGs), a disk that cannot be written needs
a person (`StoreError`), and so does what MLflow answered and is no yes (`Refused`, with its code),
or a database of another release of MLflow, which can answer nothing (`RegistryError`).
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property, wraps
from typing import Any
from urllib.parse import ParseResult, urlparse

from infra import mlflow_file
from infra.addresses import bare
from infra.errors import ConfigError, DupnError, RegistryError, RegistryUnavailable, StoreError
from infra.files import alone, unwritable

_MAY_PASS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
"""Error codes of MLflow that say nothing about the question that was asked."""

_LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_REMEDIES = {
    "UNAUTHENTICATED": f"Log in: set {_LOGIN}.",
    "PERMISSION_DENIED": f"Have somebody let you do that, or set {_LOGIN} of whoever may.",
    "ENDPOINT_NOT_FOUND": "See that tracking.uri is the address of an MLflow server.",
}
_LOOK = (
    "See that tracking.uri is right, and whether what is asked for was deleted there (a run comes "
    "back with `mlflow runs restore --run-id ID`)."
)
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_BRIEF = {_RETRIES: "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}

_LONGEST = 300
"""Characters of MLflow's own words in a sentence of ours."""
_FULL = ("database or disk is full", "disk I/O error")
_SPOILT = ("file is not a database", "database disk image is malformed")
_HALF_MADE = ("already exists", "duplicate column name")
_READ_ONLY = ("readonly database", "unable to open database file")
"""What SQLite says; SQLAlchemy and MLflow hand on no more than its text."""
_OF_ANOTHER_RELEASE = "out-of-date database schema"


_DATABASES = ("postgresql", "mysql", "mssql", "sqlite")
"""Those that MLflow takes; its own list costs seconds to import."""


class Refused(RegistryError):
    """What MLflow answered is no yes; `code` is its own word for why."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


class Client:
    """An `MlflowClient` for tracking and registry; every call of it runs in `answering`.

    Args:
        uri: the tracking address, absolute.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri

    @cached_property
    def _client(self) -> Any:
        from mlflow.tracking import MlflowClient

        # of each run that ends at a server, on stdout, which is a command's result
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        with _driven(self._uri), answering(self._uri), _turn(self._uri):
            if _in_haste():
                _require_open(self._uri)
            return MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._client, name)
        return self._told(found) if callable(found) else found

    def _told(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def told(*arguments: Any, **named: Any) -> Any:
            require_there(self._uri)  # it was when this client was made
            with _driven(self._uri), answering(self._uri):
                return call(*arguments, **named)

        return told


def parsed(uri: str) -> ParseResult:
    """Parts of `tracking.uri`, seen to be an address.

    Raises:
        ConfigError: it is none, which MLflow and SQLAlchemy would say in words of their own.
    """
    with suppress(ValueError):  # what it says may be half a password
        given = urlparse(uri)
        if given.scheme.partition("+")[0] in _DATABASES:
            _require_dialect(uri)
        if given.scheme not in ("http", "https") or (given.hostname and given.port != 0):
            return given
    raise ConfigError(  # without it: who knows where a password stands in what is no address
        "tracking.uri is no address that can be read. Give http://host:port, or of a database "
        "postgresql://host:port/name or sqlite:////absolute/path.db. A port is a number, and in a "
        "login what is no letter or digit stands as its code (%40 for @)."
    )


def _require_dialect(uri: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(uri).get_dialect()
    except NoSuchModuleError:
        raise ConfigError(
            f"tracking.uri begins with {uri.partition(':')[0]}:, a database that no package here "
            "knows. Write it as SQLAlchemy does (postgresql, mysql+pymysql), or install its own."
        ) from None
    except ArgumentError as error:
        raise ValueError from error


def prepare(uri: str) -> None:
    """See to it that a SQLite database is there, whole; others are their servers' affair."""
    with _driven(uri), answering(uri), _turn(uri):
        pass


def require_there(uri: str) -> None:
    """For those who only ask: a client would make a SQLite database that is not there.

    Raises:
        RegistryUnavailable: it is not.
    """
    if not is_there(uri):
        raise RegistryUnavailable(
            f"there is no MLflow database {mlflow_file.of(uri)}. Whoever registers first makes it; "
            "see that tracking.uri is right, and that nobody moved the file away."
        )


def is_there(uri: str) -> bool:
    """Whether there is something to ask: False of a SQLite database that nobody has made yet."""
    file = mlflow_file.of(uri)
    with suppress(OSError):  # it may not be looked at: whoever asks it is told
        # else it is in memory, or SQLite's own `file:`
        return not file.is_absolute() or mlflow_file.is_there(file)
    return True


@contextmanager
def _turn(uri: str) -> Iterator[None]:
    """A block for one process of this machine at a time, with a SQLite database that is whole.

    MLflow makes its tables one after the other where they are not, and looks first: two who find
    none make them twice, and whoever is killed at it leaves some. Neither takes anyone any more. So
    they are made in a file aside, which gets its name when it has them all.
    """
    for name in ("mlflow", "alembic"):  # its chatter
        logging.getLogger(name).setLevel(logging.WARNING)
    file = mlflow_file.of(uri)
    with ExitStack() as held:
        if file.name != ":memory:" and file.parent.is_dir():
            with suppress(StoreError):  # no lock, no database either: SQLite says it better
                held.enter_context(alone(file.with_name(f"{file.name}.making")))
                for lost in file.parent.glob(f"{file.name}.*.new*"):
                    lost.unlink()
                if not mlflow_file.is_there(file):
                    mlflow_file.make(file)
        yield


def _in_haste() -> bool:
    """Whether who asks has set that MLflow be asked twice at most: `briefly`, a service."""
    return os.environ.get(_RETRIES) in ("0", "1")


def _require_open(uri: str) -> None:
    """Ask a database once; MLflow asks for 102 s whether it can be opened, whatever hinders it."""
    from mlflow.store.db import db_types, utils
    from sqlalchemy import inspect

    # A SQLite database that nobody has made yet is made, and its folder.
    if uri.startswith(tuple(db_types.DATABASE_ENGINES)) and is_there(uri):
        engine = utils.create_sqlalchemy_engine(uri)
        try:
            inspect(engine)
        finally:
            engine.dispose()


@contextmanager
def _driven(uri: str) -> Iterator[None]:
    """A block in which a database may turn out to want a package that is not here."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"tracking.uri = {uri!r} needs the Python package {error.name}, which is not "
            "installed. Install it beside dupn, or give an MLflow server (http://...)."
        ) from None


@contextmanager
def briefly() -> Iterator[None]:
    """A block in which MLflow is asked twice, not for the minutes that it is given otherwise."""
    before = {name: os.environ.get(name) for name in _BRIEF}
    os.environ.update(_BRIEF)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def answering(uri: str) -> Iterator[None]:
    """A block that talks to MLflow.

    Raises:
        Refused: it answered no.
        RegistryError: its database is of another release of MLflow.
        RegistryUnavailable: the server does not answer, or its database is busy.
        StoreError: its database or its files cannot be written, or the database is spoilt.
    """
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import DBAPIError

    try:
        mlflow_file.follow(uri)
        yield
    except MlflowException as error:
        if error.error_code not in _MAY_PASS:
            raise _refused(uri, error) from _cause(uri, error)
        raise _told(uri, str(error)) from _cause(uri, error)
    except (RequestException, DBAPIError, CommandError) as error:
        raise _told(uri, str(error)) from _cause(uri, error)
    except OSError as error:
        where = error.filename2 or error.filename or uri  # of a copy the second one is written
        raise unwritable(str(where), error) from error


def _cause(uri: str, error: Exception) -> Exception | None:
    """What a trace may show: MLflow's own text quotes the address whole."""
    return error if bare(uri) == uri else None


def _refused(uri: str, error: Any) -> Refused:
    remedy = _REMEDIES.get(error.error_code, _LOOK)
    return Refused(f"MLflow at {uri} refused: {_first(str(error))}. {remedy}", error.error_code)


def _first(text: str) -> str:
    """The first line without its full stop; of a long one both ends, for the cause is the last."""
    line = bare((text.strip().splitlines() or ["no message"])[0].rstrip("."))  # whole: then cut
    if len(line) <= _LONGEST:
        return line
    start, end = line[: _LONGEST // 2], line[-(_LONGEST // 2) :]
    return f"{start.rpartition(' ')[0] or start} ... {end.partition(' ')[2] or end}"


def _told(uri: str, text: str) -> DupnError:
    """The error of ours behind what MLflow, requests or SQLAlchemy said."""
    if any(said in text for said in _FULL):
        return StoreError(f"{uri} could not be written: the disk is full. Make room and run again.")
    if any(said in text for said in _READ_ONLY):
        return StoreError(
            f"{uri} could not be written: it is read-only. Mount it writable, or mend its "
            "permissions, and run again."
        )
    if any(said in text for said in _SPOILT):
        return StoreError(
            f"the database of MLflow at {uri} is spoilt ({_first(text)}). Put a copy of before in "
            "its place; where nothing was registered yet, move the file away and run again."
        )
    if "OperationalError" in text and any(said in text for said in _HALF_MADE):
        return StoreError(
            f"{uri} is half made: a process was killed while MLflow made or changed its tables "
            f"({_first(text)}). Put a copy of before in its place; where nothing was registered "
            "yet, move the file away and run again."
        )
    if _OF_ANOTHER_RELEASE in text:
        return _of_another_release(uri, text)
    return RegistryUnavailable(
        f"MLflow at {uri} did not answer ({_first(text)}). Is the server up? Nothing is lost: "
        "run the step again."
    )


def _of_another_release(uri: str, text: str) -> RegistryError:
    """No answer about any run or version (`Refused`), so nobody takes it for one."""
    found = _first(text.partition(". Take")[0])
    whole = uri.startswith("sqlite:")  # no login in it, and no server between
    upgrade = f"`mlflow db upgrade {uri}`" if whole else "`mlflow db upgrade URI`"
    of_whom = "" if whole else " with the database's own URI and login"
    return RegistryError(
        f"the database of MLflow at {uri} is of another release of MLflow ({found}). Install that "
        "release again; or, to go on with this one, stop what uses the database, copy it first, "
        f"then run {upgrade}{of_whom}."
    )
