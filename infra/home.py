"""Where a home is, and which folders it cannot be.

A home, like other folders among the settings, is named by hand, in a unit file or by a build
server, so it may begin with a `~` that no shell expanded (`--home=~/log`), be the address of a
folder, or have a sign that an address gives another meaning.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from infra.errors import ConfigError

_WITHOUT_BUCKET = ("hdfs", "viewfs", "memory")
"""Schemes whose path may begin right behind the `://`."""
_MEANT_OTHERWISE = re.compile(r"\?|%[0-9A-Fa-f]{2}")
"""What ends the path in an address (MLflow's and Airflow's, of SQLite), or is one sign there."""


_FILE = "file://"


def absolute(folder: str) -> str:
    """The full path of a folder, whatever the working folder; another address stays as it is.

    Raises:
        ConfigError: it begins with the `~` of a user whom this machine does not know.
    """
    folder = folder.removeprefix(_FILE) if folder.startswith(f"{_FILE}/") else folder
    if "://" in folder:
        return folder
    if not folder.startswith("~"):  # `./~` is a folder of that name, which `Path` would not know
        return str(Path(folder).absolute())
    try:
        return str(Path(folder).expanduser().absolute())
    except RuntimeError:
        raise ConfigError(
            f"{folder} begins with the ~ of a user who is not known here. Give the whole path; a "
            f"folder of that name is ./{folder}."
        ) from None


def require_place(home: str) -> None:
    """Before anything is looked for: a home is a folder, or can become one, or names a bucket.

    Args:
        home: as of `absolute`.

    Raises:
        ConfigError: a file stands there, or above; the disk takes no folder of so long a name; or
            nothing stands behind the `://`.
    """
    scheme, separator, place = home.partition("://")
    if separator:
        if not place.strip("/") or (place.startswith("/") and scheme not in _WITHOUT_BUCKET):
            raise ConfigError(
                f"the home {home} names no bucket. Give s3://bucket/prefix, or a folder, with "
                "--home or DUPN_HOME."
            )
        return
    there = next(one for one in (Path(home), *Path(home).parents) if _stands(one))
    if not there.is_dir():
        raise ConfigError(
            f"the home {home} cannot be: {there} is no folder. Give a folder with --home or "
            "DUPN_HOME, or move away what stands there."
        )
    _require_short(home, there)


def _require_short(home: str, there: Path) -> None:
    """Refuse folders that the disk would refuse: what looks for one of these fails, too."""
    with suppress(OSError):  # one that cannot be asked says so when it is read
        most = os.pathconf(there, "PC_NAME_MAX")
        longest = max((os.fsencode(part) for part in Path(home).parts), key=len)
        if 0 < most < len(longest):
            raise ConfigError(
                f"the home {home} cannot be: the name of a folder has at most {most} bytes there, "
                f"and one of these has {len(longest)}. Give a shorter one with --home or DUPN_HOME."
            )


def _stands(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()  # one that leads nowhere is no folder
    except OSError:  # a folder above may not be entered: whoever reads the home tells that
        return False


def require_addressable(home: str | Path) -> None:
    """Before any work: a SQLite database below the home has an address.

    Raises:
        ConfigError: it would be that of another file, or of none.
    """
    found = _MEANT_OTHERWISE.search(str(home))
    if found:
        raise ConfigError(
            f"the home {home} has {found[0]} in its path, which means something else in the "
            "address of a SQLite database, as MLflow and Airflow have one there. Give a home "
            "without it, with --home or DUPN_HOME; a folder that is there already can be renamed."
        )
