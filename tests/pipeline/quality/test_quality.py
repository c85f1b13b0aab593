"""A failed critical expectation stops the run with a sentence; a warning does not."""

import json
import re
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.quality.figures import QualityConfig
from features.schemas import (
    BEHAVIORS,
    CANDIDATES,
    CATALOG,
    IMPRESSIONS,
    ITEMS,
    SAMPLES,
    TAGS_PER_ITEM,
    conform,
)
from infra.errors import PartitionCorrupt, QualityFailed
from infra.store import Store
from pipeline.quality import checks, judged, quality_page
from pipeline.settings import load

DAY = date(2026, 3, 2)
MIDNIGHT_MS = 1_772_409_600_000


def publish(
    store: Store,
    day: date,
    count: int = 200,
    bad_types: int = 0,
    rejected: int = 0,
    ambiguous: int = 0,
) -> None:
    start = MIDNIGHT_MS + (day - DAY).days * 86_400_000
    table = pa.table(
        {
            "user_hash": pa.array(range(count), pa.uint64()),
            "user_id": [f"u{i}" for i in range(count)],
            "item_id": ["i"] * count,
            "ts": [start + 400_000 * i for i in range(count)],
            "type": [9] * bad_types + [1] * (count - bad_types),
            "scenario": [1] * count,
        }
    )
    counts = {"behaviors_read": count + rejected, "behaviors_rejected": rejected}
    counts["behaviors_ambiguous"] = ambiguous
    with store.partition("events", day, "behaviors").publish() as out:
        entry = out.write_table("part-0", conform(table, BEHAVIORS), counts=counts)
        out.record([entry])


@pytest.fixture
def settings(tmp_path):
    return load("smoke", str(tmp_path))


def test_a_good_day_passes_and_leaves_report_and_data_docs(settings, tmp_path):
    publish(settings.store, DAY)
    assert checks.run(settings, DAY, "events")["passed"]
    assert judged.passed(settings.store, DAY, "events")
    assert Path(quality_page.there(settings.store)).exists()


def test_a_report_is_json_even_if_a_figure_is_infinite(settings, monkeypatch):
    publish(settings.store, DAY)
    measured = checks.quality.metrics
    monkeypatch.setattr(
        checks.quality,
        "metrics",
        lambda *known: measured(*known) | {"behaviors.volume_ratio": float("inf")},
    )
    with pytest.raises(QualityFailed, match="behaviors has volume ratio inf, over the limit"):
        checks.run(settings, DAY, "events")
    text = settings.store.get("reports/quality/events/2026-03-02.json")
    report = json.loads(text, parse_constant=pytest.fail)
    (ratio,) = (one for one in report["figures"] if one["name"] == "behaviors.volume_ratio")
    assert ratio["value"] is None


def test_a_day_without_the_pages_of_the_days_before_is_told_and_goes_on(settings):
    for day in (DAY, DAY + timedelta(days=1)):
        publish(settings.store, day)
        if day == DAY:
            with settings.store.partition("events", day, "impressions").publish() as out:
                page = {"user_id": ["u1"], "request_id": ["r"], "ts": [MIDNIGHT_MS]}
                page |= {"scenario": [1], "item_ids": [["i"]]}
                out.record([out.write_table("part-0", conform(pa.table(page), IMPRESSIONS))])
        assert checks.run(settings, day, "events")["passed"]
    report = json.loads(settings.store.get(f"reports/quality/events/{day}.json"))
    (told,) = (one for one in report["failures"] if one["figure"].endswith("absent_share"))
    assert told["sentence"].startswith(
        f"Quality of events {day} warning: impressions has absent share 1, over the limit 0: "
        "the days before had some"
    )


def test_a_critical_failure_names_day_table_column_and_figure(settings):
    publish(settings.store, DAY, bad_types=50)
    with pytest.raises(QualityFailed, match=r"2026-03-02.*behaviors\.type has bad share 0\.25"):
        checks.run(settings, DAY, "events")
    assert not judged.passed(settings.store, DAY, "events")
    report = json.loads(settings.store.get("reports/quality/events/2026-03-02.json"))
    assert not report["passed"]


def test_a_warning_is_reported_and_does_not_stop(settings):
    publish(settings.store, DAY, count=200, rejected=5)
    result = checks.run(settings, DAY, "events")
    assert (result["passed"], result["warnings"]) == (True, 1)


def test_an_hour_that_a_clock_showed_twice_is_a_warning_that_says_what_was_made_of_it(
    settings, caplog
):
    publish(settings.store, DAY, ambiguous=8)
    assert checks.run(settings, DAY, "events")["warnings"] == 1
    assert (
        "behaviors has ambiguous share 0.04, over the limit 0: of an hour that its clock shows "
        "twice the earlier was taken; write UTC, or offsets (%z)."
    ) in caplog.text


def test_a_rotten_byte_is_an_error_and_never_another_figure(settings):
    publish(settings.store, DAY)
    partition = settings.store.partition("events", DAY, "behaviors")
    file = Path(partition.path, partition.manifest().files[0].name)
    group = pq.read_metadata(file).row_group(0)
    (scenario,) = (
        column
        for column in map(group.column, range(group.num_columns))
        if column.path_in_schema == "scenario"
    )
    raw = bytearray(file.read_bytes())
    raw[scenario.dictionary_page_offset + scenario.total_compressed_size - 1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(
        PartitionCorrupt, match=r"cannot be read: .*CRC checksum.* Run `dupn events"
    ):
        checks.run(settings, DAY, "events")


def test_a_day_without_rows_is_refused(settings):
    publish(settings.store, DAY, count=0)
    with pytest.raises(QualityFailed, match="behaviors has rows 0, under the limit 1"):
        checks.run(settings, DAY, "events")


def test_a_day_far_smaller_than_the_days_before_is_refused(settings):
    for back in (3, 2, 1):
        day = DAY - timedelta(days=back)
        publish(settings.store, day)
        checks.run(settings, day, "events")
    publish(settings.store, DAY, count=15)
    with pytest.raises(QualityFailed, match=r"volume ratio 0\.075, under the limit 0\.1"):
        checks.run(settings, DAY, "events")


def publish_samples(store: Store, category: int = 2, **asked) -> None:
    """A moment, without questions if none are given, and a catalog of two items."""
    lists = {f.name: [[1]] for f in SAMPLES if f.name.startswith("seq_")}
    moment = {"sample_id": ["s"], "user_id": ["u"], "ts": [MIDNIGHT_MS], "scenario": [1]}
    moment |= lists | asked
    tags = pa.FixedSizeListArray.from_arrays(pa.array([0] * 2 * TAGS_PER_ITEM), TAGS_PER_ITEM)
    items = {
        "item_id": ["a", "b"],
        "row": [2, 3],
        **{key: [2, 3] for key in ("item", "brand", "shop")},
        "category": [category, 3],
        "tags": tags,
        "price": [1.0, 2.0],
        "price_level": [1, 7],
    }
    for name, table in (
        ("samples", conform(pa.table(moment), SAMPLES)),
        ("catalog", conform(pa.table(items), CATALOG)),
    ):
        with store.partition(name, DAY).publish() as out:
            out.record([out.write_table("part", table)])


def test_the_catalog_has_a_suite_of_its_own(settings, tmp_path):
    publish_samples(settings.store)
    assert checks.run(settings, DAY, "samples")["passed"]
    report = json.loads(settings.store.get("reports/quality/samples/2026-03-02.json"))
    asked = {one["figure"] for one in report["expected"]}
    assert {"catalog.rows", "catalog.row.bad_share", "samples.seq_item.uneven.bad_share"} <= asked
    suites = {path.stem for path in (tmp_path / "reports/quality/gx/expectations").iterdir()}
    assert {"samples", "catalog"} <= suites


def test_a_day_of_clicks_alone_is_told_and_goes_on(settings):
    clicks = {name: [[1]] for name in CANDIDATES}
    publish_samples(settings.store, **{**clicks, "cand_features": [[[0.1]]]})
    assert checks.run(settings, DAY, "samples")["passed"]
    report = json.loads(settings.store.get("reports/quality/samples/2026-03-02.json"))
    (told,) = (one for one in report["failures"] if one["figure"].endswith("only_clicks_share"))
    assert "only clicks share 1, over the limit 0: every candidate was clicked" in told["sentence"]


def test_a_broken_catalog_stops_the_run(settings):
    publish_samples(settings.store, category=0)
    with pytest.raises(QualityFailed, match=r"of catalog 2026-03-02 failed: catalog\.item has bad"):
        checks.run(settings, DAY, "samples")
    assert not judged.passed(settings.store, DAY, "samples")


def test_figures_are_the_flat_list_of_every_report(settings):
    publish(settings.store, DAY)
    checks.run(settings, DAY, "events")
    report = json.loads(settings.store.get("reports/quality/events/2026-03-02.json"))
    assert {tuple(figure) for figure in report["figures"]} == {
        ("name", "value", "low", "high", "unit", "protocol")
    }
    units = {figure["name"]: figure["unit"] for figure in report["figures"]}
    assert units["behaviors.rows"] == "rows"
    assert units["behaviors.type.bad_share"] == "share"
    assert units["behaviors.ts.stale_h"] == "h"


def test_refused_rows_of_every_log_are_judged(settings):
    publish(settings.store, DAY)
    empty = conform(pa.table({"user_hash": pa.array([], pa.uint64())}), IMPRESSIONS)
    counts = {"impressions_read": 100, "impressions_rejected": 40}
    with settings.store.partition("events", DAY, "impressions").publish() as out:
        out.record([out.write_table("part-0", empty, counts=counts)])
    with pytest.raises(QualityFailed, match=r"impressions has reject share 0\.4, over the limit"):
        checks.run(settings, DAY, "events")


@pytest.mark.parametrize("name", ["items", "users", "icons", "shops"])
def test_a_snapshot_is_judged_by_what_was_refused_of_it_and_has_a_row(settings, name):
    publish(settings.store, DAY)
    ids = {"item_id": pa.array([], pa.string())}
    rows = conform(pa.table(ids), ITEMS) if name == "items" else pa.table(ids)
    empty = rf"{name} has rows 0, under the limit 1\."
    for read, told in (
        (100, (empty, rf"{name} has reject share 1, over the limit 0\.05\.")),
        (0, (empty, r"mend the raw day and run it again\.$")),  # no limit is about it
    ):
        counts = {f"{name}_read": read, f"{name}_rejected": read, f"{name}_kept": 0}
        with settings.store.partition("events", DAY, name).publish() as out:
            out.record([out.write_table("part-0", rows, counts=counts)])
        with pytest.raises(QualityFailed) as failed:
            checks.run(settings, DAY, "events")
        assert [one for one in told if not re.search(one, str(failed.value))] == []


def test_a_snapshot_far_smaller_than_those_before_is_refused(settings):
    """Its rows are those that the events step counted, which the next days find in the tally."""
    days = [DAY + timedelta(days=n) for n in range(4)]
    for day, users in zip(days, (1_000, 1_000, 1_010, 90), strict=True):
        publish(settings.store, day)
        ids = {"user_hash": pa.array(range(200), pa.uint64())}
        counts = {"users_read": users, "users_kept": users}
        with settings.store.partition("events", day, "users").publish() as out:
            out.record([out.write_table("part-0", pa.table(ids), counts=counts)])
        if day != days[-1]:
            assert checks.run(settings, day, "events")["warnings"] == 0
    with pytest.raises(QualityFailed, match=r"users has volume ratio 0\.09, under the limit 0\.1"):
        checks.run(settings, days[-1], "events")


def test_a_table_of_other_keys_is_a_warning_that_says_where_to_look(settings, caplog):
    publish(settings.store, DAY)
    users = {"user_hash": pa.array([10_000], pa.uint64()), "user_id": ["somebody"]}
    with settings.store.partition("events", DAY, "users").publish() as out:
        out.record([out.write_table("part-0", pa.table(users))])
    assert checks.run(settings, DAY, "events")["passed"]
    told = r"behaviors\.user_id has joined share 0, under the limit 0\.5: the share"
    assert re.search(told, caplog.text)
    assert "that events/dt=2026-03-02/users has. Compare user_id in both." in caplog.text


def test_pages_that_no_behaviour_names_stop_the_run(settings):
    publish(settings.store, DAY, count=1_000)
    page = {
        "user_hash": pa.array([1], pa.uint64()),
        "user_id": ["u1"],
        "ts": [MIDNIGHT_MS],
        "request_id": ["r"],
        "item_ids": [["i"]],
        "scenario": [1],
    }
    with settings.store.partition("events", DAY, "impressions").publish() as out:
        out.record([out.write_table("part-0", conform(pa.table(page), IMPRESSIONS))])
    with pytest.raises(QualityFailed, match=r"request_id has joined share 0, .*moments=derived"):
        checks.run(settings, DAY, "events")
    for pair in ("sequences.moments=derived", "quality.min_joined_share=0"):
        other = load("smoke", str(settings.home), [pair])
        assert checks.run(other, DAY, "events")["passed"]


def test_a_snapshot_that_says_everything_twice_is_only_a_warning():
    names = ("items", "users", "icons", "shops", "behaviors")
    figures = {f"{name}.duplicate_share": 0.9 for name in names}
    expected = checks.suite("events", figures, QualityConfig())
    critical = {one.figure for one in expected if one.critical and one.high is not None}
    assert critical == {"behaviors.duplicate_share"}


def test_a_day_that_came_anew_is_not_judged_until_the_report_says_so(settings, monkeypatch):
    """Killed between its figures and their judgement, it is as before: found good, of old data."""
    publish(settings.store, DAY)
    checks.run(settings, DAY, "events")
    assert judged.is_current(settings.store, DAY, "events")
    publish(settings.store, DAY, bad_types=50)
    monkeypatch.setattr(checks, "judge", lambda *_: exec("raise KeyboardInterrupt"))
    with pytest.raises(KeyboardInterrupt):
        checks.run(settings, DAY, "events")
    assert not judged.is_current(settings.store, DAY, "events")


def test_a_day_counts_as_good_only_as_it_was_judged(settings):
    assert judged.objection(settings.store, DAY, "events") == "never came before quality"
    publish(settings.store, DAY)
    checks.run(settings, DAY, "events")
    publish(settings.store, DAY)  # the same rows again
    assert judged.passed(settings.store, DAY, "events")
    publish(settings.store, DAY, count=201)
    assert "changed after quality had judged" in judged.objection(settings.store, DAY, "events")
    settings.store.partition("events", DAY, "behaviors").remove()
    assert judged.passed(settings.store, DAY, "events")


def test_users_that_came_anew_are_judged_anew_but_for_a_report_that_did_not_know_of_them(settings):
    def users(number):
        table = pa.table({"user_hash": pa.array([number], pa.uint64()), "user_id": ["u"]})
        with settings.store.partition("events", DAY, "users").publish() as out:
            out.record([out.write_table("part-0", table, counts={"users_read": 1})])

    publish(settings.store, DAY)
    users(1)
    checks.run(settings, DAY, "events")
    assert judged.is_current(settings.store, DAY, "events")
    users(2)
    assert not judged.is_current(settings.store, DAY, "events")
    assert "users is another" in judged.objection(settings.store, DAY, "events")
    key = judged.report(DAY, "events")
    told = json.loads(settings.store.get(key))
    old = {name: stamp for name, stamp in told["inputs"].items() if "users" not in name}
    del told["tables"]
    settings.store.put(key, json.dumps(told | {"inputs": old}))
    assert judged.is_current(settings.store, DAY, "events")
    assert judged.passed(settings.store, DAY, "events")
