"""`cimsolve completion`: the scripts name every command and option, and bash completes by its script."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from cimsolve.__main__ import main
from cimsolve.cli import COMMANDS
from cimsolve.cli.completion import SHELLS


def script(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_know_commands_and_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = script(shell, capsys)
    for word in (*COMMANDS, "what-if", "vary", "max-arrays", "rram256", "bert-large", "densemap"):
        assert word in text


def completed(script_file: Path, words: list[str]) -> set[str]:
    """What bash offers after `words`, the last of which is begun."""
    listed = " ".join(f"'{word}'" for word in words)
    code = f"""
    source {script_file}
    COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; COMP_LINE="${{COMP_WORDS[*]}}"; COMP_POINT=${{#COMP_LINE}}
    function_name=$(complete -p cimsolve | sed -E 's/.*-F ([^ ]+) .*/\\1/')
    "$function_name" cimsolve "${{COMP_WORDS[$COMP_CWORD]}}" "${{COMP_WORDS[$COMP_CWORD-1]}}"
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True, cwd=script_file.parent)
    return set(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cimsolve.bash"
    file.write_text(script("bash", capsys))
    assert completed(file, ["cimsolve", "co"]) == {name for name in COMMANDS if name.startswith("co")}
    assert completed(file, ["cimsolve", "sweep", "--va"]) == {"--vary"}
    assert completed(file, ["cimsolve", "--hw", "rram"]) == {"rram256", "rram256-mesh", "rram128-isaac"}
    assert completed(file, ["cimsolve", "explain", "--strategy", "spr"]) == {"spread"}
    assert completed(file, ["cimsolve", "hw", "ch"]) == {"check"}
    (tmp_path / "mine.json").write_text("{}")
    for words in (["check"], ["--start"], ["hw", "new", "--out"], ["accuracy", "--text"]):
        assert completed(file, ["cimsolve", *words, "mi"]) == {"mine.json"}
    (tmp_path / "place").mkdir()
    assert completed(file, ["cimsolve", "project", "--model", "pl"]) == {"place"}


@pytest.mark.parametrize("argv", [[], ["ksh"], ["bsh"]])
def test_other_shells_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", *argv]) == 2
    assert "bash" in capsys.readouterr().err or not argv
