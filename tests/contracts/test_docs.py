import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

from features.raw.dataset import Dataset, parse_description
from features.raw.raw_table import Table, TimeFormat
from pipeline import settings_page
from pipeline.bench.benching import BENCHES
from pipeline.cli import app
from pipeline.settings import Settings, load
from serving import guard, meters
from tests.contracts.tree import modules, strings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("infra/**/*.md")],
    key=str,
)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
PLACEHOLDERS = {"D": "2026-03-02", "N": "2", "TEXT": "why", "FILES...": "a.csv", "OF": "events"}
COMMANDS = set(typer.main.get_command(app.app).commands)

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text_of(page):
    return page.read_text(encoding="utf-8")


def fences(page, *languages):
    return [body for language, body in FENCE.findall(text_of(page)) if language in languages]


def prose(page):
    return FENCE.sub("", text_of(page))


def command_lines(page):
    """Every `dupn ...` of a page: lines of code blocks, and code spans."""
    lines = [line for body in fences(page, "", "sh", "bash") for line in body.splitlines()]
    found = [line.removeprefix("$ ") for line in lines] + CODE.findall(prose(page))
    return [line for line in found if re.match(r"dupn( |$)", line) and "COMMAND" not in line]


def words_of(line):
    words = shlex.split(line, comments=True)[1:]
    words = [word for word in words if word not in ("--json", "--debug", "...")]
    return [PLACEHOLDERS.get(word, word) for word in words]


def anchors(page):
    titles = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@by_page
def test_every_link_inside_the_repository_leads_somewhere(page):
    for target in LINK.findall(prose(page)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.relative_to(ROOT)} links to {target}"
        assert ROOT in [place, *place.parents], f"{target} lies outside the repository"
        assert not anchor or anchor in anchors(place), f"{target} has no such title"


@by_page
def test_files_and_modules_that_are_named_exist(page):
    floors = "dags|pipeline|evaluation|serving|training|features|infra|tests"
    for span in CODE.findall(prose(page)):
        if re.fullmatch(rf"({floors})(/[\w.*-]+)+/?", span):
            assert list(ROOT.glob(span.rstrip("/"))), f"{span} is not there"
        elif re.fullmatch(rf"({floors})(\.\w+)+", span):
            assert exists(span), f"{span} is neither a module, nor in one, nor a setting"


def exists(dotted):
    """A module, something that a module defines, or a setting (evaluate.level)."""
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:cut])
        if place.is_dir() and cut == len(parts):
            return True
        if place.with_suffix(".py").exists():
            rest = parts[cut:]
            source = place.with_suffix(".py").read_text()
            return all(re.search(rf"^(class |def |\s*){name}\b", source, re.M) for name in rest)
    return dotted in {setting.rstrip(".") for setting in settings_names()}


def settings_names():
    return re.findall(r"^\| `([\w.]+)` \|", settings_page.page(), re.M)


@by_page
def test_every_command_line_parses(page):
    group = typer.main.get_command(app.app)
    for line in command_lines(page):
        words = words_of(line)
        if words == [] or (len(words) == 1 and words[0] in {*COMMANDS, "--version"}):
            continue  # the bare name of a command, or what stands without one
        context = group.make_context("dupn", words)
        name, command, rest = group.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        command.make_context(name, rest, parent=context)
        load(context.params["preset"], None, context.params["pairs"] or [])


@by_page
def test_settings_that_are_named_exist(page):
    known = set(settings_names())
    for span in CODE.findall(prose(page)):
        match = re.fullmatch(r"(([a-z_]+)\.[a-z_0-9]+)( ?= ?.+)?", span)
        if match and match[2] in Settings.model_fields:
            assert match[1] in known, f"{span} is not a setting"


def test_every_command_and_every_option_is_in_the_page_of_the_command_line():
    page = text_of(ROOT / "docs" / "cli.md")
    group = typer.main.get_command(app.app)
    for option in group.params:
        assert f"`{option.opts[0]} " in page or f"`{option.opts[0]}`" in page
    days = re.search(r"^These take `--day D`, or `--from D --to D`", page, re.M)
    assert days
    for name, command in group.commands.items():
        row = re.search(rf"^\| `{name}` \|.*$", page, re.M)
        assert row, f"dupn {name} is not in docs/cli.md"
        over_days = any("--from" in option.opts for option in command.params)
        for option in command.params:
            long = option.opts[0]
            if long in ("--help",) or (over_days and long in ("--day", "--from", "--to")):
                continue
            assert (long if long.startswith("--") else long.upper()) in row[0], f"{name} {long}"


def test_the_help_names_every_bench_and_what_may_stand_anywhere():
    group = typer.main.get_command(app.app)
    assert re.findall(r"--\w+", group.epilog) == ["--json", "--debug"]
    named = next(one.help for one in group.commands["bench"].params if one.name == "name")
    assert re.split(r", | or ", named.rstrip(".")) == list(BENCHES)
    for command in group.commands.values():
        assert all(getattr(option, "help", "") for option in command.params), command.name


def test_the_settings_page_is_what_the_settings_say():
    fresh = settings_page.page()
    kept = text_of(ROOT / "docs" / "settings.md")
    assert kept == fresh, "run `python -m pipeline.settings_page > docs/settings.md`"


@pytest.mark.parametrize(
    "body",
    [b for page in PAGES for b in fences(page, "toml") if "[behaviors]" in b],
    ids=lambda body: tomllib.loads(body)["name"],
)
def test_every_description_of_a_log_is_valid(body):
    assert "behaviors" in parse_description(body, "docs").tables()


def test_every_key_of_a_description_is_explained():
    page = text_of(ROOT / "docs" / "datasets.md")
    keys = {*Dataset.model_fields, *Table.model_fields, *TimeFormat.model_fields}
    for key in keys - {"source", "text"}:  # made by `load`
        assert f"`{key}`" in page, f"{key} is not in docs/datasets.md"


def dupn(home, line, cwd=None):
    """Run a command line as it stands in a page."""
    words = shlex.split(line)[1:]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.app", "--home", str(home), *words, "--json"],
        cwd=cwd or ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "DUPN_PRESET": "smoke"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_commands_of_the_readme_take_a_log_in(tmp_path):
    readme = ROOT / "README.md"
    (tmp_path / "mylog.toml").write_text(fences(readme, "toml")[0])
    rows = [f"{user},{user + 1},7,{code},1511658000" for user in range(9) for code in ("pv", "buy")]
    (tmp_path / "UserBehavior.csv").write_text("\n".join(rows) + "\n")
    line = next(line for line in command_lines(readme) if " import " in line)
    code, out, err = dupn(tmp_path / "home", line, cwd=tmp_path)
    assert code == 0, err
    assert json.loads(out)["behaviors_rows"] == len(rows)


def test_a_day_by_hand_goes_as_the_page_says_and_is_read_as_the_other_says(tmp_path, monkeypatch):
    first, second = command_lines(ROOT / "docs" / "cli.md")[:2]
    assert " simulate " in first
    assert " events " in second
    for line in (first, second, second):
        code, out, err = dupn(tmp_path / "artifacts", line)
        assert code == 0, err
    counts = json.loads(out)["2026-03-02"]
    assert counts["behaviors_read"] == sum(
        counts[f"behaviors_{end}"] for end in ("kept", "duplicate", "ignored", "rejected")
    )
    monkeypatch.chdir(tmp_path)
    read = {}
    exec(fences(ROOT / "docs" / "artifacts.md", "python")[0], read)
    files = [Path(file) for file in read["files"]]
    assert set(files) < set(files[0].parent.glob("*.parquet"))  # the first run's are there, too
    assert sum(pq.read_metadata(file).num_rows for file in files) == read["table"].num_rows
    assert read["table"].num_rows == counts["behaviors_kept"]


def test_every_metric_and_its_labels_are_in_the_page_of_the_service():
    page = text_of(ROOT / "docs" / "serving.md")
    made = [one for one in vars(meters).values() if isinstance(one, MetricWrapperBase)]
    assert len(made) > 5
    for one in made:
        name = one._name + "_total" * isinstance(one, Counter)
        row = re.search(rf"^\| `{name}` \| ([^|]*)\|", page, re.M)
        assert row, f"{name} is not in docs/serving.md"
        assert set(one._labelnames) <= set(re.findall(r"`(\w+)`", row[1])), name


def test_every_path_that_needs_no_token_is_in_the_page_of_the_service():
    page = text_of(ROOT / "docs" / "serving.md")
    (said,) = re.findall(r"bearer token; (.*) are open to everybody", page)
    assert re.findall(r"`(/[\w.]+)`", said) == list(guard.OPEN)


OUR_OWN = {
    "DUPN_DATABASE": "no variable: a program's digest has MLflow's database under it",
    "DUPN_SERVE": "the service tells its worker processes what it was started with",
    "DUPN_SERVE_CONNECTIONS": "it tells them where they count connections",
    "DUPN_SERVE_REPLACES": "a process is told which one it takes the place of",
}
"""What processes of ours tell each other; nobody sets it."""


def test_every_variable_that_is_read_is_in_the_page_of_the_command_line():
    page = text_of(ROOT / "docs" / "cli.md")
    whole = re.compile(r"DUPN_(?:[A-Z]+_)*[A-Z]+(?![A-Z_])")  # not the beginning of several
    named = {
        one for path in modules() for said in strings(path) for one in whole.findall(said.value)
    }
    assert set(OUR_OWN) < named
    assert named - set(OUR_OWN) == set(re.findall(r"`(DUPN_\w+)`", page))
