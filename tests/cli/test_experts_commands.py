"""Commands on a `linears` model with experts: what a token multiplies, what does not fit, and files of answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from makers.builders import linears, step, with_experts
from makers.command_line import Cli

MIXTURE = linears(
    step("router", (8, 3)),
    with_experts(step("up", (8, 4), (8, 4), (8, 4)), of=[0, 1, 2], chosen=2),
    with_experts(step("down", (4, 8), (4, 8), (4, 8)), of=[0, 1, 2], chosen=2, own=True),
)
RUN = ["--hw", "paper256", "--model", "mixture.json", "--structure", "dense"]


@pytest.fixture(autouse=True)
def _a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    Path("mixture.json").write_text(json.dumps(MIXTURE))


def test_the_answer_says_what_a_token_multiplies(cli: Cli) -> None:
    """8 * 3 weights, and of three experts of 8 * 4 and 4 * 8 those of two: 152 of 216."""
    result = cli(*RUN, "--strategy", "spread")
    assert result.code == 0
    words = " ".join(result.out.split())
    assert "152 MACs a token; dense strategies store all 216" in words
    assert "distance between arrays." in words  # nor does a chip with a network price experts
    assert "paper256-mesh" not in words


def test_experts_on_a_network_are_refused_in_a_line(cli: Cli) -> None:
    result = cli("--hw", "paper256-mesh", "--model", "mixture.json", "--strategy", "spread")
    assert (result.code, result.out) == (2, "")
    assert "mixture has experts" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(("asked", "answers"), [([], True), (["--strategy", "spread,optimal"], False)])
def test_the_default_run_has_the_rule_for_experts(cli: Cli, asked: list[str], answers: bool) -> None:
    assert cli(*RUN, *asked, "--simulate", "none").code == 0
    assert bool(list(Path("results").glob("*greedy-top2*.json"))) is answers


@pytest.mark.parametrize("command", ["check", "replay", "simulate", "report"])
def test_commands_on_a_file_take_it(cli: Cli, command: str) -> None:
    assert cli(*RUN, "--strategy", "spread").code == 0
    (path,) = Path("results").glob("*.json")
    result = cli(command, str(path))
    assert result.code == 0
    assert "Traceback" not in result.out + result.err


def test_a_file_that_says_fewer_are_chosen_is_refused(cli: Cli) -> None:
    assert cli(*RUN, "--strategy", "spread").code == 0
    (path,) = Path("results").glob("*.json")
    content = json.loads(path.read_text())
    content["model"]["steps"][1]["experts"]["chosen"] = 1
    path.write_text(json.dumps(content))
    assert cli("check", str(path)).code == 1


@pytest.mark.parametrize(
    "content",
    [
        [[5, 3, 2]],
        {"counts": [[5, 3, 2]]},
        {"counts": [[5, 3, 2]], "pairs": [[[0, 1, 3], [2, 0, 2]]]},
    ],
)
def test_a_file_says_how_tokens_choose(cli: Cli, content: object) -> None:
    Path("routing.json").write_text(json.dumps(content))
    result = cli(*RUN, "--strategy", "optimal,greedy-top2", "--routing", "routing.json")
    assert result.code == 0
    assert "as was counted" in " ".join(result.out.split())
    for path in Path("results").glob("*.json"):
        assert cli("check", str(path)).code == 0


@pytest.mark.parametrize("routing", ["zipf:100:1", "zipf:1", "zipf:-1:2", "counts:1,2"])
def test_a_law_that_is_none_is_refused_in_a_line(cli: Cli, routing: str) -> None:
    result = cli(*RUN, "--strategy", "spread", "--routing", routing)
    assert (result.code, result.out, len(result.err.splitlines())) == (2, "", 1)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"pairs": [[[0, 1, 3]]]}, "counts: null"),
        ({"counts": [[5, 3, 2]], "pair": []}, "'pair' is no key"),
        ({"counts": [[5, 3, 2]], "pairs": [[[0, 1]]]}, "choice 0 has a list"),
        ({"counts": [[5, 3, 2]], "pairs": [7]}, "choice 0 is 7"),
        ({"counts": [[5, -3, 2]]}, "choice 0 has -3"),
        ({"counts": [[5, 3, 2]], "pairs": [[[0, 1, 3], [2, 0, 1]]]}, "pairs of expert 0 sum to 4; expected 5"),
        ([], "a list"),
    ],
)
def test_a_file_that_does_not_say_so_is_refused_in_a_line(cli: Cli, content: object, told: str) -> None:
    Path("routing.json").write_text(json.dumps(content))
    result = cli(*RUN, "--strategy", "spread", "--routing", "routing.json")
    assert (result.code, result.out) == (2, "")
    assert told in result.err
    assert len(result.err.splitlines()) == 1
