"""What the service says of itself while it is under load: its histograms, read before and after.

A caller's latency is what the service measures (its queue, its work, the rest of reading and
writing) and what the service cannot see: bytes that wait in sockets for a process that is busy or
has no core, and the load generator's own turn on the cores that they share.
"""

import re
from dataclasses import dataclass

import numpy as np

from infra import proxies

_LINE = re.compile(r"^(\w+)_(bucket|sum|count)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Seen:
    """One histogram: how many were at or under each edge."""

    counts: dict[float, float]

    def since(self, before: "Seen | None") -> "Seen":
        """What has come in between."""
        if before is None:
            return self
        counts = {edge: n - before.counts.get(edge, 0.0) for edge, n in self.counts.items()}
        return Seen(counts)

    @property
    def count(self) -> float:
        """How many."""
        return max(self.counts.values(), default=0.0)

    def quantile_ms(self, q: float) -> float:
        """Milliseconds, taken as even within a bucket; the last edge if it is beyond that."""
        if not self.count:
            return float("nan")
        edges = sorted(edge for edge in self.counts if np.isfinite(edge))
        heights = [self.counts[edge] for edge in edges]
        return float(1e3 * np.interp(q * self.count, [0.0, *heights], [0.0, *edges]))


def read(port: int) -> dict[str, Seen]:
    """Histograms of the service by name; those by endpoint as `name /endpoint`."""
    with proxies.session() as asking:
        return parse(asking.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text)


def parse(page: str) -> dict[str, Seen]:
    """Histograms of a Prometheus page."""
    counts: dict[str, dict[float, float]] = {}
    for name, kind, labels, value in _LINE.findall(page):
        told = dict(_LABEL.findall(labels))
        edge = told.pop("le", "")
        if kind == "bucket":
            key = " ".join([name, *told.values()])
            counts.setdefault(key, {})[float(edge)] = float(value)
    return {key: Seen(found) for key, found in counts.items()}
