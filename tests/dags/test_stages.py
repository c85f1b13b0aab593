"""What the tasks of an initial training make of the form."""

from datetime import date
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags import running, stages, study_stages
from infra.errors import ConfigError
from pipeline import form, steps
from pipeline.days import LONGEST
from tests.pipeline.raw.test_importing import MINE

DAY = date(2026, 11, 1)
ROW = "m{}|s0|1|01.11.2026 08:00\n"


@pytest.fixture
def params(monkeypatch, tmp_path):
    description = tmp_path / "mine.toml"
    description.write_text(MINE)
    given = {"preset": "smoke", "overrides": "", "dataset": str(description), "replace": False}
    monkeypatch.setenv("DUPN_HOME", str(tmp_path / "home"))
    for module in (running, stages, study_stages):
        monkeypatch.setattr(module, "get_current_context", lambda: {"params": given})
    return given


def test_the_form_can_say_that_days_of_other_files_are_replaced(params, tmp_path):
    day = running.plain({"params": params}).store.partition("raw", DAY, "behaviors")
    for rows in (2, 1):
        file = tmp_path / f"actions_{rows}.csv"
        file.write_text("member|sku|act|when\n" + "".join(map(ROW.format, range(rows))))
        params["files"] = [str(file)]
        if rows == 1:
            with pytest.raises(AirflowFailException, match=r"actions_2\.csv .*Give --replace"):
                stages.import_log.function()
            assert day.manifest().rows == 2
            params["replace"] = True
        stages.import_log.function()
        assert day.manifest().rows == rows


def test_a_field_may_end_with_an_empty_line_and_its_lines_with_spaces(params, tmp_path):
    day = running.plain({"params": params}).store.partition("raw", DAY, "behaviors")
    file = tmp_path / "actions_1.csv"
    file.write_text("member|sku|act|when\n" + ROW.format(1))
    params |= {"preset": " smoke ", "dataset": f" {params['dataset']} ", "files": ["", " "]}
    with pytest.raises(AirflowSkipException, match="no files were given"):
        stages.import_log.function()
    params["files"] = None  # what the UI makes of a field that was filled in and emptied
    with pytest.raises(AirflowSkipException, match="no files were given"):
        stages.import_log.function()
    params["files"] = [f" {file} ", ""]
    stages.import_log.function()
    assert day.manifest().rows == 1


@pytest.mark.parametrize("name", ["dataset", "preset", "files", "overrides"])
@pytest.mark.parametrize("path", ["shop.toml", "~/logs/shop.toml", "s3://logs/shop.toml"])
def test_a_relative_path_in_a_form_asks_for_an_absolute_one(params, name, path):
    values = {"files": [f"behaviors={path}"], "overrides": f'dataset = "{path}"'}
    params |= {"files": ["/a.csv"], name: values.get(name, path)}
    said = f"the form names {path}, which is no absolute path.* see, from / on"
    with pytest.raises(AirflowFailException, match=said):
        stages.import_log.function()


def test_a_form_that_names_another_table_is_told_which_there_are(params):
    params["files"] = ["bahaviors=/data/actions_1.csv"]
    with pytest.raises(AirflowFailException, match=r"bahaviors is no table .* describes behaviors"):
        stages.import_log.function()


@pytest.mark.parametrize("named", ["{}", "behaviors={}"])
@pytest.mark.parametrize(
    "path", ["/proc/self/environ", "/dev/fd/0", "/sys/kernel/uevent_seqnum", "home/airflow/x.csv"]
)
def test_a_form_reads_no_file_in_which_logins_lie(params, tmp_path, path, named):
    (tmp_path / "home" / "airflow").mkdir(parents=True)
    link = tmp_path / "actions_1.csv"
    link.symlink_to(tmp_path / path)
    for one in (tmp_path / path, link, f"/data/../{tmp_path / path}"):
        params["files"] = [named.format(one)]
        with pytest.raises(
            AirflowFailException, match=r"ConfigError: the form names .* no form imp"
        ):
            stages.import_log.function()


def test_a_form_imports_from_the_folders_of_the_workers_alone_where_they_name_some(
    params, tmp_path, monkeypatch
):
    file = tmp_path / "in" / "actions_1.csv"
    file.parent.mkdir()
    file.write_text("member|sku|act|when\n" + ROW.format(1))
    monkeypatch.setenv("DUPN_IMPORT_FROM", f"/data/logs, {tmp_path}/other")
    for named in ("{}", "behaviors={}"):
        params["files"] = [named.format(file)]
        with pytest.raises(
            AirflowFailException, match=r"none of the folders that DUPN_IMPORT_FROM"
        ):
            stages.import_log.function()
    monkeypatch.setenv("DUPN_IMPORT_FROM", f"/data/logs\n{file.parent}\n")
    params["files"] = [f"behaviors={file}"]
    stages.import_log.function()
    monkeypatch.setenv("DUPN_IMPORT_FROM", " , ")
    with pytest.raises(AirflowFailException, match="DUPN_IMPORT_FROM of the workers names no fold"):
        stages.import_log.function()


def test_a_form_imports_no_login_of_a_home_that_is_named_by_an_address(tmp_path):
    secret = f"{tmp_path}/airflow/passwords.json"
    for home in (str(tmp_path), f"file://{tmp_path}"):
        with pytest.raises(ConfigError, match="no form imports from there"):
            form.check_files([secret], {"behaviors"}, home)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("hush-7f3a\0hush=2\n\xa4\n", "line 1 of .*|has no column 'sku'|one column"),
        ("member|sku|act|when\nhush-7f3a\n", "line 2 of .* has 1 columns .* not 4: .not quoted"),
        ("member|sku|act|when\nm|s|hush-7f3a|01.11.2026 08:00\n" * 3, "codes that are neither"),
        ("member|sku|act|when\nm|s|1|hush-7f3a\n", "column 'when' of .* cannot be read as"),
        (
            "member|hush-7f3a|act|when\nm|s|1|hush-7f3a\n",
            "it has 4 names .not quoted: `dupn import`",
        ),
        ("hush-7f3a\nm\n", "one column .* 1 name .not quoted: `dupn import` by hand lists them"),
        ("hush-7f3a|hush-7f3a|act|when\nm|s|1|hush-7f3a\n", "has the column .not quoted. 2 times"),
    ],
)
def test_an_import_by_a_form_does_not_quote_the_file(params, tmp_path, content, said):
    file = tmp_path / "actions_1.csv"
    file.write_text(content)
    params["files"] = [str(file)]
    with pytest.raises(AirflowFailException, match=said) as told:
        stages.import_log.function()
    assert "hush" not in str(told.value)
    with pytest.raises(ConfigError, match="hush"):
        steps.import_log(running.settings(), params["dataset"], [file])


@pytest.mark.parametrize(
    ("first", "days"), [("0026-03-02", 1), ("9999-12-31", 1), ("2026-03-02", 10**9)]
)
@pytest.mark.parametrize("task", [stages.days, stages.simulate])
def test_days_that_nobody_means_are_refused_and_not_tried_again(params, task, first, days):
    params |= {"dataset": "marketplace", "first_day": first, "days": days}
    with pytest.raises(AirflowFailException, match=r"ConfigError: .* (out of reach|too many)"):
        task.function()


def test_the_form_asks_for_no_more_days_than_airflow_maps_a_task_to(seen):
    asked = seen["dags"]["dupn_initial_train"]["params"]["days"]
    assert (asked["schema"]["minimum"], asked["schema"]["maximum"]) == (1, 1023)
    assert "More than 1023: `AIRFLOW__CORE__MAX_MAP_LENGTH`, or" in asked["description"]


def test_nor_for_more_than_may_be_asked_for(in_airflow):
    page = Path(stages.__file__).with_name("dupn_initial_train.py")
    seen = in_airflow("describe.py", page, AIRFLOW__CORE__MAX_MAP_LENGTH="99999")
    asked = seen["dags"]["dupn_initial_train"]["params"]["days"]
    assert asked["schema"]["maximum"] == LONGEST


@pytest.mark.parametrize(("seeds", "fits"), [(30, True), (31, False)])
def test_a_study_fails_before_its_first_cell_if_airflow_cannot_map_its_last(params, seeds, fits):
    params |= {"study": "table2", "seeds": seeds, "quick": False, "preset": None}
    if fits:
        assert len(study_stages.cells.function(0)) == seeds + 1
        return
    with pytest.raises(
        AirflowFailException,
        match=r"31 seeds has a stage of 1054 cells.* AIRFLOW__CORE__MAX_MAP_LENGTH to 1054 .*"
        r"`dupn study table2`",
    ):
        study_stages.cells.function(0)
