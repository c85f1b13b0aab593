"""Reads the samples of all days of a home once and prints the peak memory, in MB.

Arguments: home, buffer.
"""

import sys
from pathlib import Path

from infra.store import Store
from training.data import Position, Reader, Samples


def main(home, buffer):
    store = Store(home)
    reader = Reader(Samples(store, store.days("samples")), batch_size=256, buffer=int(buffer))
    seen = sum(loaded.batch.size for loaded in reader.epoch(Position()))
    assert seen == reader.samples.moments
    status = Path("/proc/self/status").read_text()  # not ru_maxrss: it starts at the parent's
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


if __name__ == "__main__":
    main(*sys.argv[1:])
