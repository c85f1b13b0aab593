"""Where a home is, and which folders it cannot be.

A home is named by hand, in a unit file or by a build server, so it may begin with a `~` that no
shell expanded (`--home=~/log`), or have a sign that an address gives another meaning.
"""

import re
from pathlib import Path

from infra.errors import ConfigError

_MEANT_OTHERWISE = re.compile(r"\?|%[0-9A-Fa-f]{2}")
"""What ends the path in an address (MLflow's and Airflow's, of SQLite), or is one sign there."""


def absolute(home: str) -> str:
    """The full path of a folder, whatever the working folder; an address stays as it is.

    Raises:
        ConfigError: it begins with the `~` of a user whom this machine does not know.
    """
    if "://" in home:
        return home
    if not home.startswith("~"):  # `./~` is a folder of that name, which `Path` would not know
        return str(Path(home).absolute())
    try:
        return str(Path(home).expanduser().absolute())
    except RuntimeError:
        raise ConfigError(
            f"the home {home} begins with the ~ of a user who is not known here. Give its whole "
            f"path with --home or DUPN_HOME; a folder of that name is ./{home}."
        ) from None


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
