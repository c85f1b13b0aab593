"""Our own programs are asked without the proxy that the environment names for everybody else.

pip and object stores may need one. It would look for 127.0.0.1 on the machine that it runs on, and
requests, httpx and curl send it there unless `no_proxy` says otherwise.
"""

from collections.abc import Mapping

import requests

_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_HERE = ("localhost", "127.0.0.1")


def session() -> requests.Session:
    """For calls to programs of ours on this machine: no proxy, nor a login of `.netrc`."""
    made = requests.Session()
    made.trust_env = False
    return made


def named(environment: Mapping[str, str]) -> bool:
    """Whether an environment names a proxy."""
    return any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES)


def spared(environment: Mapping[str, str], host: str) -> dict[str, str]:
    """Variables with which a program asks those on this machine without the proxy of `environment`.

    Nothing where it names none: on macOS `no_proxy` alone hides the proxy of the system.

    Args:
        environment: what the program inherits.
        host: on which our programs listen.
    """
    if not named(environment):
        return {}
    small, capital = environment.get("no_proxy", ""), environment.get("NO_PROXY", "")
    return {
        "no_proxy": _with(small or capital, host),
        "NO_PROXY": _with(capital or small, host),
    }


def _with(hosts: str, host: str) -> str:
    known = [one.strip() for one in hosts.split(",") if one.strip()]
    if "*" in known:  # nobody is asked by proxy; beside others the star means nothing
        return hosts
    return ",".join(dict.fromkeys([*known, *_HERE, host]))
