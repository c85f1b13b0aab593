"""What every file of ours keeps to, beyond what ruff and import-linter check."""

import ast
import tomllib

import pytest

from features import inputs
from features.raw import raw_table
from infra.config import Config
from pipeline.settings import Settings
from serving import bundle
from tests.contracts.tree import FLOORS, ROOT, modules, name, parsed, strings

LONG = {"tests/pipeline/jobs/test_events.py": 450}
"""The events job has many refusals."""
READ_TRUTH = ("evaluation/",)
JOIN_PATHS = {"infra/store.py", "pipeline/bench/day.py", "pipeline/bench/polars_script.py"}
"""The bench holds the store against a script that knows none."""
TAKE_APART = {"removeprefix", "startswith", "partition", "rpartition"}
"""What reads a day out of an address."""


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_module_says_what_it_is(path):
    said = ast.get_docstring(parsed(path))
    assert said, f"{name(path)} has no docstring"
    assert len(said) > 15


def test_no_file_is_long():
    for path in modules(*FLOORS, "tests"):
        lines = len(path.read_text().splitlines())
        long = LONG.get(name(path), 350)
        assert lines <= long, f"{name(path)} has {lines} lines"
        assert lines > 350 or long == 350, f"{name(path)} is long no more"
    assert all((ROOT / path).exists() for path in LONG)


def test_only_evaluation_knows_the_truth():
    """Whoever names `truth` outside the simulator and the ceiling could peek."""
    for path in modules():
        if not name(path).startswith(READ_TRUTH):
            told = [node.lineno for node in strings(path) if _of(node.value, "truth")]
            assert not told or name(path) == "infra/manifest.py", f"{name(path)}: {told}"


def test_within_evaluation_only_the_ceiling_and_the_simulator_read_it():
    readers = {
        name(path) for path in modules("evaluation") for node in strings(path)
        if _of(node.value, "truth")
    }  # fmt: skip
    outside = {path for path in readers if not path.startswith("evaluation/marketplace/")}
    assert outside == {"evaluation/ceiling.py"}


def _of(text, stage):
    return text == stage or text.startswith(f"{stage}/")


@pytest.mark.parametrize(
    ("folder", "owner"),
    [
        ("reports/gate", "pipeline/release/verdicts.py"),
        *((f"reports/{one}", "evaluation/filed.py") for one in ("offline", "nightly", "abtest")),
    ],
)
def test_a_folder_of_reports_that_many_read_is_spelt_in_one_module(folder, owner):
    """Who spelt it too would find nothing there, and say nothing, once it is called otherwise."""
    spelt = {name(path) for path in modules() for node in strings(path) if _of(node.value, folder)}
    assert spelt == {owner}


def test_a_run_key_is_put_together_in_one_place():
    """Of a line, a dash and whatever follows."""
    for path in modules():
        for node in ast.walk(parsed(path)):
            spelt = isinstance(node, ast.JoinedStr) and _begins_with_a_line(node.values)
            assert not spelt or name(path) == "infra/run_key.py", f"{name(path)}:{node.lineno}"


def _begins_with_a_line(parts):
    if len(parts) == 1 or not isinstance(parts[0], ast.FormattedValue):
        return False
    return ast.unparse(parts[0].value).endswith("line") and getattr(parts[1], "value", "") == "-"


def test_only_the_store_joins_paths():
    """`dt=` may stand in sentences (they hold a blank), not in addresses, formatted or added up."""
    for path in modules():
        if name(path) in JOIN_PATHS:
            continue
        whole, taken_apart = {}, set()
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.JoinedStr):
                text = "".join(p.value for p in node.values if isinstance(p, ast.Constant))
                whole |= {_place(part): text for part in node.values}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                taken_apart |= {_place(one) for one in node.args if node.func.attr in TAKE_APART}
        for node in strings(path):
            text = whole.get(_place(node), node.value)
            fine = "dt=" not in text or " " in text or _place(node) in taken_apart
            assert fine, f"{name(path)}:{node.lineno}"


def _place(node):
    return node.lineno, node.col_offset


def test_temporary_folders_come_from_one_place():
    """Only those are removed when their maker is killed."""
    for path in modules(*FLOORS):
        if name(path) != "infra/scratch.py":
            attributes = {x.attr for x in ast.walk(parsed(path)) if isinstance(x, ast.Attribute)}
            names = {one.name for x in ast.walk(parsed(path)) if isinstance(x, ast.ImportFrom)
                     for one in x.names}  # fmt: skip
            made = {"TemporaryDirectory", "mkdtemp"} & (attributes | names)
            assert not made, f"{name(path)}: use infra.scratch"


def test_every_setting_is_explained():
    bare = []
    waiting, seen = [Settings], set()
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        seen.add(kind)
        assert (kind.__doc__ or "") != (Config.__doc__ or ""), kind
        for field_name, field in kind.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and issubclass(inner, Config):
                waiting.append(inner)
            elif not field.description:
                bare.append(f"{kind.__name__}.{field_name}")
    assert len(seen) > 12
    assert bare == []


def test_every_package_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["tool"]["setuptools"]["packages"]
    there = {
        name(path.parent).replace("/", ".") for path in modules() if path.name == "__init__.py"
    }
    assert set(listed) == there
    assert len(listed) == len(there)


def test_every_module_lies_in_a_package():
    for path in modules():
        assert (path.parent / "__init__.py").exists(), name(path)


def test_every_file_that_the_packages_read_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    globs = project["tool"]["setuptools"]["package-data"]
    for floor in FLOORS:
        kept = {path for glob in globs.get(floor, ()) for path in (ROOT / floor).glob(glob)}
        for path in (ROOT / floor).rglob("*"):
            if "__pycache__" in path.parts:  # files come and go there while others compile
                continue
            if path.is_file() and path.suffix != ".py":
                assert path in kept, name(path)


def test_the_command_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"dupn": "pipeline.cli.app:main"}


LISTS = {
    "features/raw/raw_table.py": (raw_table.LOGS,),
    "features/inputs.py": (inputs.STATISTICS, inputs.CARRIED),
    "nowhere: it is the rest": (raw_table.SNAPSHOTS,),
}


@pytest.mark.parametrize(
    ("owner", "listed"), [(o, one) for o, all_ in LISTS.items() for one in all_]
)
def test_a_list_of_tables_is_written_down_once(owner, listed):
    found = {
        name(path)
        for path in modules()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Tuple | ast.List | ast.Set)
        and {getattr(one, "value", None) for one in node.elts} == set(listed)
    }
    assert found <= {owner}


def test_what_a_bundle_holds_is_named_by_it():
    named = [
        name(path)
        for path in modules("serving", "pipeline")
        for one in strings(path)
        if one.value == bundle.RECORDED
    ]
    assert named == ["serving/bundle.py"]


ALSO_DOUBLES = {("evaluation/metrics.py", "Floats")}
"""What is reported is reckoned in doubles; elsewhere Floats are what networks take."""


def test_a_name_for_arrays_says_everywhere_what_they_are_made_of():
    told: dict[str, set[str]] = {}
    for path in modules():
        for node in parsed(path).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("NDArray["):
                (target,) = node.targets
                if (name(path), ast.unparse(target)) not in ALSO_DOUBLES:
                    told.setdefault(ast.unparse(target), set()).add(ast.unparse(node.value))
    assert len(told) > 9
    assert not {one: types for one, types in told.items() if len(types) > 1}


def test_days_are_counted_from_one_epoch_and_begin_by_one_clock():
    epochs, midnights = [], []
    for path in modules():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Assign) and ast.unparse(node.value) == "date(1970, 1, 1)":
                epochs.append(name(path))
            if isinstance(node, ast.FunctionDef) and node.name == "midnight_ms":
                midnights.append(name(path))
    assert epochs == midnights == ["features/property.py"]


def test_settings_are_beside_the_code_that_reads_them():
    """Those of everything are only composed of them."""
    kinds = [field.annotation for field in Settings.model_fields.values()]
    sections = [one for one in kinds if isinstance(one, type) and issubclass(one, Config)]
    assert len(sections) > 20
    assert not [one for one in sections if one.__module__ == Settings.__module__]
