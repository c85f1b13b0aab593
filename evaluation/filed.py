"""Where reports on models, nights and experiments are filed, as folders and keys of the store.

Apart from the modules that write them, which draw: whoever reads a file or names it on a page, on
this floor or above it, need not load what pictures take.
"""

OFFLINE, NIGHTLY = "reports/offline", "reports/nightly"
EXPERIMENTS = "reports/abtest"
REPORT, PAGE, COMPARISON = "report.json", "report.html", "comparison.json"
"""Files of an offline report: whole, for people, and what a candidate has over the champion."""
ANSWERS = "answers"
"""Partition beside them."""


def offline(run: str) -> str:
    """The folder of what evaluation found of a run key."""
    return f"{OFFLINE}/{run}"


def report(run: str) -> str:
    """The offline report on a run key."""
    return f"{offline(run)}/{REPORT}"


def page(run: str) -> str:
    """The same for people."""
    return f"{offline(run)}/{PAGE}"


def comparison(run: str) -> str:
    """What the candidate has over the champion."""
    return f"{offline(run)}/{COMPARISON}"


def nightly(line: str) -> str:
    """The folder of the nights of a line: their page, and a folder a day."""
    return f"{NIGHTLY}/{line}"


def experiment(name: str) -> str:
    """The folder of an experiment's looks, verdicts and reports, one a day."""
    return f"{EXPERIMENTS}/{name}"
