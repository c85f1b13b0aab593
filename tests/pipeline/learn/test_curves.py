"""Lines of the training run in the offline report."""

from infra.store import Store
from infra.tracking import MlflowTracker, TrackingConfig
from pipeline.learn import curves


def test_lines_are_in_order_of_passes_and_only_where_there_are_two_points(tmp_path):
    tracker = MlflowTracker(TrackingConfig(), Store(tmp_path))
    run = tracker.start("a")
    for step in (4, 8):
        figures = {"progressive_ctr_auc": 0.5 + step / 100, "progressive_ppp_precision": 0.2}
        tracker.metrics({**figures, "moments_per_s": 7.0}, step)
    tracker.metrics({"repeated_ctr_auc": 0.7, "repeated_l2r_loss": 0.3}, 12)
    tracker.metrics({"repeated_ctr_auc": 0.8}, 16)
    tracker.end()
    lines = curves.of_run(tracker, run)
    assert [line.title for line in lines.values()] == [
        "CTR AUC, first pass",
        "PPP precision, first pass",
        "CTR AUC, seen before",
    ]
    assert lines["progressive_ctr_auc"].x == (4, 8)
    assert lines["repeated_ctr_auc"].y == (0.7, 0.8)


def test_a_run_without_a_tracker_has_none(tmp_path):
    assert curves.of_run(MlflowTracker(TrackingConfig(), Store(tmp_path)), "") == {}
