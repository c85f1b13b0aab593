"""A process of its own that promotes one version: `promote_version.py HOME URI VERSION START`.

Waits for the file START, so that two of them decide on the same ledger.
"""

import sys
import time
from pathlib import Path

from infra.errors import RegistryError
from infra.registry import Registry
from infra.store import Store

home, uri, version, start = sys.argv[1:5]
registry = Registry(uri, Store(home))
entries = registry.look()
sys.stdout.write("ready\n")
sys.stdout.flush()
while not Path(start).exists():
    time.sleep(0.005)
try:
    registry.promote(version, f"by the process of {version}", after=entries)
except RegistryError as error:
    sys.stdout.write(f"lost: {error}\n")
else:
    sys.stdout.write("won\n")
