"""Commands killed at random moments: what they leave is whole, and nothing is left running. Linux.

    python tests/kills.py --kills 60 --seed 1

SIGKILL, SIGTERM and SIGINT in turn, each command in turn, in a folder that keeps what earlier ones have left. After
each kill: no process is left; every solution passes `cimsolve check`, every other output is whole; a signal that can
be heard gives its exit code and one line; every strategy that is not said to lack an answer has its file. Then the
same command is let run to its end, and leaves no temporary file and no table without its solution.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cimsolve.judge.check import check_solution
from cimsolve.judge.check.plan import check_plan
from cimsolve.problem.plan import read_answer
from cimsolve.problem.solution import Solution
from cimsolve.weights.factor_file import FactorFile
from makers.accuracy_runs import run as accuracy
from makers.builders import chip
from makers.short_chips import writing
from makers.tiny_configs import BERT
from makers.tiny_models import add_tokenizer, model_folder

ANSWERS = ["--hw", "paper256", "--out", "out"]
BIG = ["--set", "array.rows=32", "--set", "array.cols=32", "--strategy", "linear", "--simulate", "none"]
SHORT = ["--hw", "short.json", "--model", "bert.json", "--structure", "dense", "--out", "out"]
COMMANDS: dict[str, list[str]] = {
    "solve": ["--model", "middle.json", *ANSWERS],
    "solve with a table": ["--model", "big.json", *ANSWERS, *BIG],
    "rounds": [*SHORT, "--when-short", "rounds"],
    "chips in a row": [*SHORT, "--when-short", "chips"],
    "pareto": ["pareto", "--model", "middle.json", *ANSWERS],
    "sweep": [
        *("sweep", "--model", "middle.json", *ANSWERS, "--strategy", "spread,optimal"),
        *("--vary", "adc.per_array=4,8", "--jobs", "2", "--fresh"),
    ],
    "report": [
        "report",
        "answer.json",
        "--out",
        "report.html",
        "--trace",
        "trace.json",
        "--figures",
        "figures",
        "--format",
        "svg",
    ],
    "simulate": ["simulate", "answer.json"],
    "project": ["project", "--model", "tiny", "--structure", "2,2,2", "--out", "f.safetensors"],
    "choose": [
        *("choose", "--model", "tiny", "--set", "array.rows=16", "--set", "array.cols=64", "--compression", "2"),
        *("--samples", "400", "--loss-tokens", "40", "--out", "chosen.json"),
    ],
    "accuracy": accuracy("--method", "dense,plain", "--cache", "out/cache", "--out", "table.json", "--fresh"),
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LEFT_S = 5.0
"""How long what has to end may take to."""


def prepare(folder: Path, names: Sequence[str]) -> dict[str, float]:
    """The inputs of all commands, in the folder, and outputs of before in place; returns the seconds of each."""

    def linears(name: str, *sizes: tuple[int, int]) -> None:
        steps = [
            {"name": f"s{i}", "linears": [{"name": f"s{i}.x", "n_in": n_in, "n_out": n_out}]}
            for i, (n_in, n_out) in enumerate(sizes)
        ]
        content = {"model_type": "linears", "context": 16, "steps": steps}
        (folder / name).write_text(json.dumps(content))

    linears("middle.json", *[(64, 64), (64, 128)])
    linears("big.json", (10400, 10400))
    (folder / "bert.json").write_text(json.dumps(BERT))
    (folder / "short.json").write_text(json.dumps(writing(chip(array__count=16))))
    add_tokenizer(model_folder(folder / "tiny", BERT))
    if "answer.json" in " ".join(word for name in names for word in COMMANDS[name]):
        finished(folder, "solve")
        shutil.copy(next((folder / "out").glob("middle*optimal*.json")), folder / "answer.json")
    return {name: finished(folder, name) for name in names}


def started(folder: Path, name: str, mark: str) -> subprocess.Popen[str]:
    """The command, alone in its session, so that signals can be sent to all that it starts."""
    return subprocess.Popen(
        [sys.executable, "-m", "cimsolve", *COMMANDS[name], "-q"],
        cwd=folder,
        env={**os.environ, "KILLS_MARK": mark},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(folder: Path, name: str) -> float:
    """Let the command run to its end; returns its seconds."""
    began = time.monotonic()
    process = started(folder, name, "")
    complaint = process.communicate()[1]
    assert process.returncode == 0, (name, process.returncode, complaint)
    assert complaint == "", (name, complaint)
    return time.monotonic() - began


def hears_signals(process: subprocess.Popen[str]) -> bool:
    """Whether its handler of SIGTERM is there, as /proc tells."""
    with open(f"/proc/{process.pid}/status") as status:
        caught = next((line.split()[1] for line in status if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def until(holds: Callable[[], bool], seconds: float = LEFT_S) -> bool:
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.005)
    return held


def still_running(mark: str) -> list[str]:
    """Processes that were started with this mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"KILLS_MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def damages(folder: Path) -> Iterator[str]:
    """What is not whole among the outputs."""
    for path in (folder / "out").rglob("*.json"):
        if path.name.startswith((".", "accuracy-")):
            continue
        answer = read_answer(path)
        report = check_solution(answer) if isinstance(answer, Solution) else check_plan(answer)
        if not report.passed:
            yield f"{path}: {report.violations[0]}"
    for path in [
        *(folder / "out").rglob("accuracy-*.json"),
        folder / "trace.json",
        folder / "table.json",
        folder / "chosen.json",
    ]:
        if path.exists():
            json.loads(path.read_text())
    for path in [*(folder / "out").rglob("*.safetensors"), *folder.glob("*.safetensors")]:
        if path.exists() and not path.name.startswith("."):
            FactorFile(path)
    page = folder / "report.html"
    if page.exists() and not page.read_text().rstrip().endswith("</html>"):
        yield f"{page}: is cut short"
    yield from (f"{path}: is empty" for path in folder.rglob("figures/[!.]*") if not path.stat().st_size)


def leftovers(folder: Path) -> list[str]:
    """Temporary files, and tables that no solution names."""
    named = [json.loads(path.read_text()).get("tables", {}).get("file") for path in (folder / "out").rglob("*.json")]
    tables = [path for path in folder.rglob("*.npz") if path.name not in named]
    return [str(path) for path in (*folder.rglob(".*"), *folder.rglob("*.tmp"), *tables)]


def kill(folder: Path, name: str, number: signal.Signals, after_s: float) -> str:
    """Kill the command once, and look at what it leaves; returns how it ended."""
    mark = uuid.uuid4().hex
    process = started(folder, name, mark)
    until(lambda: process.poll() is not None or hears_signals(process))
    time.sleep(after_s)
    if process.poll() is None:
        # A terminal's Ctrl-C reaches all processes.
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    complaint = process.communicate(timeout=60)[1]
    code = process.returncode
    assert "Traceback" not in complaint or number == signal.SIGKILL, complaint
    if code == 0:
        ended = "done before"
    elif number == signal.SIGKILL:
        assert code == -signal.SIGKILL, (code, complaint)
        ended = "killed"
    elif code == -number and not complaint:  # its work was done, and the interpreter ending
        ended = "ended late"
    else:
        assert code == 128 + number, (code, complaint)
        assert complaint.count("\n") == 1, complaint
        assert complaint.startswith("cimsolve: interrupted"), complaint
        ended = complaint.strip()
    assert until(lambda: not still_running(mark)), still_running(mark)
    assert not (found := list(damages(folder))), found
    if name == "solve" and "without an answer: " in ended:
        without = ended.partition("without an answer: ")[2].split(", ")
        for strategy in {"linear", "sparsemap", "densemap", "spread", "optimal"} - set(without):
            assert list((folder / "out").glob(f"middle*--{strategy}.json")), f"{strategy} has an answer and no file"
    return ended


def run(kills: int, seed: int, names: Sequence[str] = tuple(COMMANDS), tell: Callable[[str], None] = print) -> None:
    """Kill so many commands, in turn; raises AssertionError for what is not as it should be."""
    chance = random.Random(seed)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # one that is ignored would be by the commands too
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        seconds = prepare(folder, names)
        for count in range(kills):
            name, number = names[count % len(names)], SIGNALS[count // len(names) % len(SIGNALS)]
            if chance.random() < 0.3:
                shutil.rmtree(folder / "out", ignore_errors=True)
            after_s = chance.uniform(0, seconds[name])
            ended = kill(folder, name, number, after_s)
            finished(folder, name)
            assert not (left := leftovers(folder)), (name, number, left)
            tell(f"{count + 1:3d} {name:20s} {number.name} after {after_s:.2f} s: {ended}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--command", action="append", choices=tuple(COMMANDS), help="only this one")
    options = parser.parse_args()
    run(options.kills, options.seed, options.command or tuple(COMMANDS))


if __name__ == "__main__":
    main()
