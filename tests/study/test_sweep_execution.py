"""Where the points of a sweep are solved: Ctrl-C, processes that are killed, other code, a cluster."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cimsolve.errors import InputError
from cimsolve.study.sweep import execute
from cimsolve.study.sweep.grid import expand
from cimsolve.study.sweep.point import Point, Record, solve_point
from makers.command_line import Cli, Result, assert_refused
from makers.tiny_sweeps import ADCS, GRID, RUN, points, study

pytestmark = pytest.mark.usefixtures("tiny_folder")


def test_ctrl_c_keeps_what_is_finished(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    solved = 0

    def one_then_stop(point: Point, digest: str) -> Record:
        nonlocal solved
        if solved:
            raise KeyboardInterrupt
        solved += 1
        return solve_point(point, digest)

    monkeypatch.setattr(execute, "solve_point", one_then_stop)
    result = cli(*RUN, *ADCS, "--json")
    assert result.code == 130
    assert [row["state"] for row in points(result)] == ["solved", "not done"]
    assert "1 results are kept" in result.err
    monkeypatch.setattr(execute, "solve_point", solve_point)
    assert [row["kept"] for row in points(cli(*RUN, *ADCS, "--json"))] == [True, False]


def test_a_half_answer_is_never_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from cimsolve.solve.effort import Answer, Effort, Event
    from cimsolve.solve.strategies import STRATEGIES
    from cimsolve.study import solving as run_module

    def interrupted(problem: Any, search: Effort) -> Answer:
        search.listen(Event("interrupted"))
        return STRATEGIES["spread"](problem, search)

    monkeypatch.setitem(run_module.STRATEGIES, "optimal", interrupted)  # type: ignore[arg-type]
    (row,) = expand(study(vary={"seed": [0]}))
    assert row.point is not None
    with pytest.raises(KeyboardInterrupt):
        solve_point(row.point, row.point.digest())


def test_a_worker_with_other_code_is_refused() -> None:
    (row,) = expand(study(vary={"seed": [0]}))
    assert row.point is not None
    with pytest.raises(InputError, match="another version"):
        solve_point(row.point, "0" * 32)


def test_two_processes_give_what_one_gives(cli: Cli) -> None:
    one = cli(*RUN, *ADCS, "--json", "--cache", "one")
    two = cli(*GRID, "--strategy", "spread", *ADCS, "--json", "--cache", "two", "--jobs", "2")
    assert two.code == 0

    def figures(result: Result) -> list[Any]:
        return [(row["digest"], row["metrics"], row["bounds"]) for row in points(result)]

    assert figures(two) == figures(one)


SWEEP = [sys.executable, "-m", "cimsolve", "sweep", "--model", "minilm-l6", "--hw", "paper256"]
SIX = ["--vary", "adc.per_array=4,5,6,7,8,9", "--format", "csv"]


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_was() -> None:
    first = subprocess.Popen([*SWEEP, *SIX, "--jobs", "2"], start_new_session=True, stdout=subprocess.DEVNULL)
    wait_for(lambda: len(list(Path("results/cache").glob("*.json"))) >= 2)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in Path("results/cache").glob("[0-9a-f]*.json")}
    done = subprocess.run([*SWEEP, *SIX, "--jobs", "2"], capture_output=True, text=True, check=True)
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 6
    for name, when in kept.items():
        assert Path("results/cache", name).stat().st_mtime_ns == when


def wait_for(what: Callable[[], Any], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers of one thread each, in processes of their own."""
    pytest.importorskip("distributed")
    file = tmp_path / "scheduler.json"
    base = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    scheduler = subprocess.Popen([*base, *options], **quiet)  # type: ignore[call-overload]
    wait_for(file.exists)
    address = json.loads(file.read_text())["address"]
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    workers = [subprocess.Popen([*worker, "--no-nanny"], **quiet) for _ in range(2)]  # type: ignore[call-overload]
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


@pytest.mark.cluster
def test_a_cluster_loses_nothing_with_a_worker(cluster: tuple[str, list[subprocess.Popen[bytes]]]) -> None:
    address, workers = cluster
    with subprocess.Popen([*SWEEP, *SIX, "--cluster", address], stdout=subprocess.PIPE, text=True) as running:
        wait_for(lambda: running.poll() is not None or list(Path("results/cache").glob("*.json")))
        assert running.poll() is None, "it ended before a worker could be killed"
        workers[0].kill()
        out, _ = running.communicate(timeout=400)
    assert running.returncode == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["adc.per_array"] for row in rows] == ["4", "5", "6", "7", "8", "9"]
    alone = subprocess.run(
        [*SWEEP, "--vary", "adc.per_array=9", "--format", "csv", "--cache", "alone"],
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = csv.DictReader(io.StringIO(alone.stdout))
    assert {key: row[key] for key in ("arrays", "latency_ns", "energy_pj", "digest")} == {
        key: rows[-1][key] for key in ("arrays", "latency_ns", "energy_pj", "digest")
    }


@pytest.mark.parametrize("address", ["tls://127.0.0.1:8786", "somewhere", "tcp://127.0.0.1", "inproc://x", ""])
def test_no_scheduler_is_one_line(cli: Cli, address: str) -> None:
    pytest.importorskip("distributed")
    assert_refused(cli(*RUN, *ADCS, "--cluster", address), 2, f'--cluster "{address}": no Dask scheduler answers')


@pytest.mark.cluster
def test_a_port_where_nothing_listens_is_one_line(cli: Cli) -> None:
    pytest.importorskip("distributed")
    assert_refused(cli(*RUN, *ADCS, "--cluster", "tcp://127.0.0.1:1"), 2, "no Dask scheduler answers there")
