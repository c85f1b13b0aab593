"""What Prometheus sees. With several worker processes the client library sums over their files."""

import os
from pathlib import Path

import psutil
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from serving.versions import Versions

CONTENT_TYPE = CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_EDGES = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2)

LATENCY = Histogram(
    "dupn_request_seconds", "From the first byte read to the answer", ["endpoint"], buckets=_EDGES
)
WAIT = Histogram("dupn_wait_seconds", "From a request's body to its turn", buckets=_EDGES)
WORK = Histogram("dupn_work_seconds", "From its turn to its answer", buckets=_EDGES)
REQUESTS = Counter("dupn_requests", "Answers by endpoint and status", ["endpoint", "status"])
SHED = Counter("dupn_shed", "Requests that were turned away", ["reason"])
LOST = Counter("dupn_exposures_lost", "Pages that were answered and could not be logged")
AHEAD = Counter("dupn_behaviors_ahead", "Behaviours of a time later than the service's clock")
CANDIDATES = Counter("dupn_candidates", "Items that were scored")
UNKNOWN = Counter("dupn_unknown_candidates", "Items that were scored and that nobody knows")
CACHE = Gauge(
    "dupn_query_cache", "Look-ups of query words", ["outcome"], multiprocess_mode="livesum"
)
VERSION = Gauge(
    "dupn_model_version",
    "1 for each version that is served, 0 for one that was",
    ["arm", "version", "line"],
    multiprocess_mode="livemax",
)
SWAPS = Counter("dupn_version_swaps", "Versions taken over")
REFUSED = Gauge("dupn_versions_refused", "Versions refused", multiprocess_mode="livemax")
UNREAD = Gauge(
    "dupn_registry_unread_seconds",
    "For how long the registry was not read; 0: the last look was answered",
    multiprocess_mode="livemax",
)
AWAY = Gauge(
    "dupn_histories_unavailable_seconds",
    "From the first to the last request in a row for which the histories were not read or written; "
    "0: the last were answered, or none came for five minutes",
    multiprocess_mode="livemax",
)
_told: set[tuple[str, str, str]] = set()
"""Arm, version and line of all that this process has served."""


def tell(versions: Versions) -> None:
    """Set this process's gauges; each process does so, since any one of them answers a scrape."""
    arms = versions.served
    serving = {(arm, one.name.version, one.name.line) for arm, one in arms.items()}
    _told.update(serving)
    for labels in tuple(_told):  # several processes' files know no removal of labels
        VERSION.labels(*labels).set(labels in serving)
    caches = [one.query_cache() for one in {id(one): one for one in arms.values()}.values()]
    CACHE.labels("hit").set(sum(hits for hits, _ in caches))
    CACHE.labels("miss").set(sum(misses for _, misses in caches))
    REFUSED.set(len(versions.refused))
    UNREAD.set(versions.reading.unread_s)


def forget_gone() -> None:
    """Remove gauges of processes that are gone; what they counted stays in the sums."""
    if FOLDER_VARIABLE not in os.environ:
        return
    for file in Path(os.environ[FOLDER_VARIABLE]).glob("gauge_live*.db"):
        process = file.stem.rpartition("_")[2]
        if not psutil.pid_exists(int(process)):
            file.unlink(missing_ok=True)  # others that start now do so too


def page() -> bytes:
    """The metrics of all worker processes that run; one may have ended since the last page."""
    if FOLDER_VARIABLE not in os.environ:
        return generate_latest(REGISTRY)
    forget_gone()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # no stubs
    return generate_latest(registry)
