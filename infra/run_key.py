"""The run key `<line>-<last training day>`, which names checkpoint, report and bundle of one model.

On the lowest floor, since `infra.manifest` says of a lost checkpoint which command made it. A line
may have dashes and dates of its own, so the day is what stands at the end.
"""

import re
from datetime import date

_KEY = re.compile(r"(.+)-([0-9]{4}-[0-9]{2}-[0-9]{2})")


def of(line: str, until: date) -> str:
    """Names everything that belongs to the model of a line that was trained up to a day."""
    return f"{line}-{until.isoformat()}"


def of_checkpoint(partition: str) -> str:
    """Of the key of a checkpoint's partition, which run it is of: in a line's own, its run key."""
    return partition.split("/")[1]


def is_one(text: str) -> bool:
    """Whether it is a run key, and no name of something else that was trained."""
    return _KEY.fullmatch(text) is not None


def line(key: str) -> str:
    """The line of a run key; "" of what is none."""
    found = _KEY.fullmatch(key)
    return found[1] if found else ""


def until(key: str) -> str:
    """The last training day of a run key, as it stands there; "" of what is none."""
    found = _KEY.fullmatch(key)
    return found[2] if found else ""
