"""`dupn --version`: which dupn answers, and where its docs lie."""

import json
import subprocess
import tomllib
from importlib import metadata

import pytest

from infra import installed
from tests.contracts.tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """dupn in a folder of packages, as pip puts a wheel there, within somebody's repository."""
    packages = tmp_path / "lib"
    info = packages / "dupn-9.8.dist-info"
    info.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: dupn\nVersion: 9.8\n")
    (info / "RECORD").write_text("infra/installed.py,,\n../share/doc/dupn/CHANGELOG.md,,\n")
    monkeypatch.setattr(installed, "_ROOT", packages)
    monkeypatch.setattr(installed, "distribution", lambda name: metadata.Distribution.at(info))
    return info


def test_the_version_is_the_one_that_was_installed():
    assert installed.installed()["version"] == metadata.version("dupn")
    assert metadata.version("dupn") == PROJECT["project"]["version"], "install it again"


def test_a_checkout_tells_its_commit_and_whether_files_were_changed(tmp_path, monkeypatch):
    def git(*words):
        mine = ("-c", "user.name=n", "-c", "user.email=n@example.org")
        command = ["git", "-C", str(tmp_path), *mine, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    (tmp_path / "a.py").write_text("")
    git("add", ".")
    git("commit", "-m", "one")
    monkeypatch.setattr(installed, "_ROOT", tmp_path)
    assert installed.installed()["commit"] == git("rev-parse", "HEAD")
    (tmp_path / "a.py").write_text("changed")
    assert installed.installed()["commit"] == git("rev-parse", "HEAD") + "-dirty"


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        ({"archive_info": {"hashes": {"sha256": "12ab"}}}, {"wheel": "sha256 12ab"}),
        ({"vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}, {"commit": "c0ffee"}),
        ({"dir_info": {}}, {}),
        (None, {}),
    ],
)
def test_what_pip_installed_tells_what_it_was_installed_from(elsewhere, origin, told):
    if origin is not None:
        (elsewhere / "direct_url.json").write_text(json.dumps(origin))
    docs = str(elsewhere.parent.parent / "share/doc/dupn/docs")
    assert installed.installed() == {"version": "9.8", **told, "docs": docs}


def test_a_line_says_it_for_a_lineage_as_it_was_at_first(elsewhere):
    installed.code.cache_clear()
    (elsewhere / "direct_url.json").write_text('{"vcs_info": {"commit_id": "c0ffee"}}')
    assert installed.code() == "version 9.8, commit c0ffee"
    (elsewhere / "direct_url.json").unlink()
    assert installed.code() == "version 9.8, commit c0ffee"
    installed.code.cache_clear()


def test_a_folder_on_the_path_is_not_installed(monkeypatch, tmp_path):
    def nobody(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installed, "distribution", nobody)
    monkeypatch.setattr(installed, "_ROOT", tmp_path)
    assert installed.installed() == {"version": "not installed"}


def test_every_page_but_results_is_installed():
    listed = PROJECT["tool"]["setuptools"]["data-files"]
    for target, patterns in listed.items():
        folder = target.removeprefix("share/doc/dupn").strip("/")
        assert {pattern.rpartition("/")[0] for pattern in patterns} == {folder}
    brought = {file for some in listed.values() for one in some for file in ROOT.glob(one)}
    pages = {file for file in (ROOT / "docs").rglob("*.*") if "results" not in file.parts}
    assert brought == {*pages, ROOT / "CHANGELOG.md"}
