"""What a verdict of the gate rests on, as the flat list of figures that every report carries.

The report has figures and differences; the margin is the gate's own, of the settings by which it
decides, so it stands with the verdict alone.
"""

from collections.abc import Iterator

from evaluation import gate
from evaluation.gate import GateConfig
from evaluation.paired import Difference
from evaluation.results import CALIBRATION, Figure, OfflineReport, finite

FROZEN = "frozen_"
"""How figures of heads begin that stay frozen on the champion's representation."""


def figures(report: OfflineReport, config: GateConfig) -> list[Figure]:
    """Floors, calibration, candidate minus champion, frozen heads, and margin and bound of CTR."""
    known = {one.name: one for one in (*report.figures, *report.over_champion)}
    frozen = [name for name in known if name.startswith(FROZEN)]
    compared = [one.name for one in report.over_champion]
    asked = dict.fromkeys([*config.floors, CALIBRATION, *compared, *frozen])
    found = [known[name] for name in asked if name in known]
    return [*found, *(_of_margin(report.comparison.ctr, config) if report.comparison else ())]


def _of_margin(ctr: Difference, config: GateConfig) -> Iterator[Figure]:
    sure = f"one-sided, at {1 - config.alpha:.4g}"
    for name, value, protocol in (
        ("gate_ctr_margin", gate.margin(ctr, config), "CTR AUC that the day lets a candidate lose"),
        ("gate_ctr_bound", finite(ctr.bound(config.alpha)), f"what it is not below, {sure}"),
    ):
        yield Figure(name=name, value=value, unit="AUC", protocol=protocol)
