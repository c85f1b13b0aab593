import json
import os
import subprocess
import sys

import psutil
import pytest

from infra import peak, processes

HOLD = "import sys; held = b'x' * (%d << 20); print('ready', flush=True); sys.stdin.read()"


def hold(mib):
    """A process that holds so much memory until its input is closed."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", HOLD % mib], text=True, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def end(process):
    process.communicate()


@pytest.fixture
def sizes(monkeypatch):
    """Bytes of each process, as the last look found them."""
    found, size = {}, peak._size
    monkeypatch.setattr(
        peak,
        "_size",
        lambda one: found.setdefault(one.pid, size(one)),  # each once a look
    )
    return found


def test_what_a_command_starts_counts_while_it_lives(tmp_path, sizes):
    # looks of its own might find the child between fork and exec, when it has all that we have
    with peak.watching(tmp_path, every_s=60) as seen:
        held = hold(120)
        seen.look(tmp_path)
        among = dict(sizes)  # of one moment: what libraries cost depends on who else maps them
        sizes.clear()
        end(held)
    assert 115 < among[held.pid] / peak.MIB < 160
    assert among[os.getpid()] > 0
    assert seen.bytes == sum(among.values())
    assert seen.processes == sum(size > 0 for size in among.values())


def test_services_count_though_an_earlier_command_started_them(tmp_path):
    orphan = f"{sys.executable} -c 'import time; time.sleep(60)' > /dev/null 2>&1 & echo $!"
    said = subprocess.run(["sh", "-c", orphan], capture_output=True, text=True, check=True)
    process = psutil.Process(int(said.stdout))
    try:
        assert process not in peak.family(tmp_path)
        record = {"pid": process.pid, "started": processes.started(process), "address": ""}
        (tmp_path / "mlflow").mkdir()
        (tmp_path / "mlflow" / "mlflow.json").write_text(json.dumps(record))
        assert process in peak.family(tmp_path)
    finally:
        process.kill()


def test_a_run_tells_its_peak(tmp_path):
    @peak.told(lambda folder: folder)
    def run(folder, more):
        return {"more": more}

    told = run(str(tmp_path), more=3)
    assert told["more"] == 3
    assert told["peak_memory_mib"] == pytest.approx(
        psutil.Process().memory_info().rss / 2**20, rel=0.5
    )
