"""The offline report on paper: JSON first, then pictures and one self-contained HTML page of it."""

from collections.abc import Mapping
from functools import lru_cache

from rich.table import Table

from evaluation import drift_plot, filed, plots
from evaluation.gate import Verdict
from evaluation.probabilities import WORDS
from evaluation.rendering import inside, template
from evaluation.results import Estimate, OfflineReport, TaskResult
from infra.record import reading
from infra.store import Store

TILES = ("ctr_auc", "l2r_auc", "l2r_purchase_auc", "ppp_precision", "fifp_auc")


def write(store: Store, report: OfflineReport) -> Mapping[str, str]:
    """Put `reports/offline/<key>/` in the store; file name -> full address.

    Pictures of an earlier report under the key that this one has not are taken away.
    """
    pictures = _drawings(report)
    files: dict[str, bytes | str] = {
        filed.REPORT: report.model_dump_json(indent=1),
        **{f"{name}.png": picture for name, picture in pictures.items()},
        filed.PAGE: html(report, pictures),
    }
    folder = filed.offline(report.key)
    written = {name: store.put(f"{folder}/{name}", content) for name, content in files.items()}
    for name in store.names(folder):
        if name.endswith(".png") and name not in written:
            store.remove(f"{folder}/{name}")
    return written


def read(store: Store, key: str) -> OfflineReport | None:
    """The report under a key, or None."""
    place = filed.report(key)
    found = store.get(place)
    if found is None:
        return None
    with reading(place, f"Run `dupn evaluate --day D --run {key}` again."):
        return OfflineReport.model_validate_json(found)


def add_verdict(store: Store, report: OfflineReport, verdict: Verdict) -> str:
    """Write the page of a report again, with what the gate decided on it; its text.

    The pictures are drawn from the report: those in its folder may be of an earlier one.
    """
    page = html(report, _drawings(report), verdict)
    store.put(filed.page(report.key), page)
    return page


def _drawings(report: OfflineReport) -> dict[str, bytes]:
    """Every picture of a report, by name."""
    return dict(_drawn(report.model_dump_json()))


@lru_cache(maxsize=1)  # a second and a half; the gate follows an evaluation in the same process
def _drawn(content: str) -> Mapping[str, bytes]:
    report = OfflineReport.model_validate_json(content)
    return dict(plots.drawings(report)) | dict(drift_plot.drawings(report))


def html(
    report: OfflineReport, pictures: Mapping[str, bytes], verdict: Verdict | None = None
) -> str:
    """One page that needs no other file."""
    return template("offline").render(
        report=report,
        verdict=verdict,
        tiles=[task for task in report.tasks if task.name in TILES and task.questions],
        has_ceiling=any(task.ceiling for task in report.tasks),
        clicks=[figure for figure in report.figures if figure.name in WORDS],
        costs=[figure for figure in report.figures if figure.name.startswith("shuffled_")],
        standing=standing,
        pictures=inside(pictures),
    )


def standing(task: TaskResult) -> str:
    """In a few words, how the model stands among its yardsticks."""
    if task.reason is not None:
        return task.reason.partition(":")[0]
    if not task.rivals:
        return "no yardstick"
    lost = [rival.title for rival in task.rivals if not rival.difference.beats_zero]
    if not lost:
        many = len(task.rivals) > 1
        return f"beats all {len(task.rivals)} yardsticks" if many else "beats its yardstick"
    return f"does not beat {', '.join(lost)}"


def closing_table(report: OfflineReport) -> Table:
    """What `make demo` ends with: a row a task that was trained; a person understands it."""
    table = Table(title=f"{report.title}, {report.day} ({report.key})", title_justify="left")
    table.add_column("task")
    table.add_column("model")
    table.add_column("best yardstick")
    table.add_column("model minus it")
    table.add_column("ceiling", justify="right")
    table.add_column("reached", justify="right")
    table.add_column("verdict")
    for task in report.tasks:
        if not task.questions or task.untrained:
            continue
        rivals = [rival for rival in task.rivals if rival.estimate.value is not None]
        best = max(rivals, key=lambda rival: rival.estimate.value or 0.0, default=None)
        ceiling = task.ceiling.estimate if task.ceiling else None
        share = task.share.value if task.share and not task.reason else None
        table.add_row(
            f"{task.title}, {task.unit}",
            _text(task.model),
            f"{best.estimate.value:.3f} {best.title}" if best else "-",
            _text(best.difference, sign="+") if best else "-",
            f"{ceiling.value:.3f}" if ceiling and ceiling.value is not None else "-",
            f"{share:.0%}" if share is not None else "-",
            standing(task),
        )
    return table


def _text(estimate: Estimate, sign: str = "") -> str:
    if estimate.value is None:
        return "-"
    value = f"{estimate.value:{sign}.3f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({estimate.low:{sign}.3f} to {estimate.high:{sign}.3f})"
