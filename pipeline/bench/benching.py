"""`dupn bench NAME`: measurements as figures, kept under `reports/bench/`.

Benches have settings of their own (`pipeline.settings.own`), so that a figure is of what its
protocol says, whatever the shell is set to.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from evaluation.results import finite
from infra.errors import ConfigError
from pipeline.settings import Settings

Figures = list[dict[str, Any]]


def run(settings: Settings, name: str, *, quick: bool) -> Mapping[str, Any]:
    """Measure one thing.

    Args:
        settings: where the report goes.
        name: one of `BENCHES`.
        quick: sizes that only show that it runs, reported under `<name>-quick`.
    """
    if name not in BENCHES:
        raise ConfigError(f"bench {name} does not exist. Choose one of {', '.join(BENCHES)}.")
    report = {
        "bench": name,
        "quick": quick,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "figures": [_spoken(one) for one in BENCHES[name](quick)],
    }
    content = json.dumps(report, indent=1, allow_nan=False)
    settings.store.put(f"reports/bench/{name}{'-quick' if quick else ''}.json", content)
    return report


def _spoken(figure: dict[str, Any]) -> dict[str, Any]:
    """Null where there is nothing to say, as a median of nothing: JSON knows no NaN."""
    numbers = {name: figure[name] for name in ("value", "low", "high")}
    return figure | {name: None if n is None else finite(n) for name, n in numbers.items()}


def _simulate(quick: bool) -> Figures:
    from evaluation.marketplace.bench import rows_per_second

    return list(rows_per_second(quick=quick))


def _samples(quick: bool) -> Figures:
    from pipeline.bench.samples import run as measure

    return list(measure(quick=quick))


def _nights(quick: bool) -> Figures:
    from pipeline.bench.nights import run as measure

    return list(measure(quick=quick))


def _train(quick: bool) -> Figures:
    from training.bench import run as measure

    return list(measure(quick))


def _serve(quick: bool) -> Figures:
    from pipeline.bench.serve import run as measure

    return list(measure(quick=quick))


def _runtime(quick: bool) -> Figures:
    from pipeline.bench.runtime import run as measure

    return measure(quick=quick)


def _gate(quick: bool) -> Figures:
    from pipeline.bench.gate import run as measure

    return measure(quick=quick)


def _readout(quick: bool) -> Figures:
    from pipeline.bench.readout import run as measure

    return list(measure(quick=quick))


BENCHES: Mapping[str, Callable[[bool], Figures]] = {
    "simulate": _simulate,
    "samples": _samples,
    "nights": _nights,
    "train": _train,
    "serve": _serve,
    "runtime": _runtime,
    "gate": _gate,
    "readout": _readout,
}
