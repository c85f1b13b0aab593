"""The demo's last step: the service is asked what a person would ask it, with curl."""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from infra import proxies, runtime
from infra.errors import OrchestrationError
from infra.store import Store
from pipeline.cli.show import wide
from pipeline.settings import Settings

SHOWN = 3
"""Items that the answer is cut to."""
_LOOK = "Look into the service's log, <home>/serve/serve.log; does something else listen there?"


def ask(settings: Settings, variables: Mapping[str, str], day: date) -> Mapping[str, Any]:
    """Start the service, search as one of the day's users did; the command, answer and address.

    Args:
        settings: of the demo.
        variables: `pipeline.settings.handed_on`.
        day: whose users and queries to take.

    Raises:
        OrchestrationError: the service does not answer.
    """
    address = runtime.up_serve(settings.home, settings.runtime, variables)["serve"]
    _wait(address, settings.runtime.start_timeout_s)
    user, query = _somebody(settings.store, day)
    body = json.dumps({"user_id": user, "query": query, "top_k": SHOWN, "page": False})
    command = _command(address, body)
    return {"command": shlex.join(command), "answer": _answer(command, address, body)}


def show(result: Mapping[str, Any], console: Console | None = None) -> dict[str, Any]:
    """Print what was asked and answered; the rest of the demo's result comes back."""
    out = console or wide()
    out.print(f"$ {result['asked']}", markup=False, highlight=False, soft_wrap=True)
    answer = json.dumps(result["answered"], indent=1)
    lists = re.compile(r"\[\s+([-\d.,\s]+?)\s+\]")  # numbers in a row stand on a line
    flat = lists.sub(lambda found: f"[{' '.join(found[1].split())}]", answer)
    out.print(f"{flat}\n", markup=False, highlight=False, soft_wrap=True)
    return {name: value for name, value in result.items() if name not in ("asked", "answered")}


def _somebody(store: Store, day: date) -> tuple[str, str]:
    """A user of the day and what the user typed."""
    pages = store.partition("events", day, "impressions").table(["user_id", "query"])
    for row in pages.to_pylist():  # stops at the first page of a search
        if row["query"]:
            return row["user_id"], row["query"]
    raise OrchestrationError(
        f"nobody typed a query on {day}, so there is nothing to ask. Look into events/dt={day}: "
        "its impressions need a column `query` (docs/datasets.md)."
    )


def _command(address: str, body: str) -> list[str]:
    """What a person would type here."""
    host = urlsplit(address).hostname or ""
    direct = ["--noproxy", host] if proxies.named(os.environ) else []
    return ["curl", "-s", *direct, f"{address}/v1/search", "-d", body]


def _answer(command: Sequence[str], address: str, body: str) -> Mapping[str, Any]:
    if shutil.which("curl"):
        done = subprocess.run(list(command), capture_output=True, text=True, check=False)
        text = done.stdout
    else:  # a machine without curl: the same request
        with proxies.session() as asking:
            text = asking.post(f"{address}/v1/search", data=body, timeout=30).text
    try:
        found: Mapping[str, Any] = json.loads(text)
    except ValueError:
        raise OrchestrationError(
            f"{address} answered {text[:200]!r}, which is no JSON. {_LOOK}"
        ) from None
    if "items" not in found:
        raise OrchestrationError(f"{address} answered {text[:200]}, which is no page. {_LOOK}")
    return found


def _wait(address: str, timeout_s: float) -> None:
    """Until the champion is loaded."""
    begin = time.monotonic()
    with proxies.session() as asking:
        while time.monotonic() - begin < timeout_s:
            if asking.get(f"{address}/readyz", timeout=30).status_code == 200:
                return
            time.sleep(0.5)
    raise OrchestrationError(
        f"the service loaded no champion within {timeout_s:.0f} s. Look at {address}/readyz."
    )
