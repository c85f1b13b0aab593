"""A process that has a file of live behaviours open: adds one (a number), or counts them (else)."""

import sys
from datetime import date
from pathlib import Path

from infra.errors import ServingUnavailable
from serving import snapshot
from serving.histories import LiveBehavior, LocalHistories

NEXT = 1_772_582_401_000


def opened(file):
    return LocalHistories(file, snapshot.empty(date(2026, 3, 3)), "UTC", patience_s=0.2)


def add(histories, place):
    sent = LiveBehavior(user_id="u1", item_id="i1", type=1, scenario=1, ts=NEXT + place)
    return histories.add([sent], NEXT)


def count(histories):
    return len(histories.before("u1", NEXT + 999).ts)


if __name__ == "__main__":
    mine = opened(Path(sys.argv[1]))
    for line in sys.stdin:
        try:
            said = add(mine, int(line)) if line.strip().isdecimal() else count(mine)
        except ServingUnavailable as error:
            said = error
        print(said, flush=True)
