"""Tokens of a source beside those of the target: in the answer, in files, in replays, and where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cimsolve.problem.solution import Header, read_solution
from makers.builders import chip, mesh_chip
from makers.command_line import Cli
from makers.tiny_configs import BERT, NARROW_BART

RUN = ["--hw", "chip.json", "--model", "tiny.json", "--structure", "dense", "--strategy", "spread", "--tokens", "4"]


@pytest.fixture(autouse=True)
def _a_chip_and_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("tiny.json").write_text(json.dumps({**NARROW_BART, "max_position_embeddings": 6}))
    Path("bert.json").write_text(json.dumps(BERT))
    Path("chip.json").write_text(json.dumps(chip(array__rows=16, array__cols=16)))


def header_of(file: Path) -> Header:
    return read_solution(file).header


def answered(cli: Cli, *more: str) -> Path:
    before = set(Path("results").glob("*.json"))
    assert cli(*RUN, *more).code == 0
    (written,) = set(Path("results").glob("*.json")) - before
    return written


def test_each_pass_of_a_prefill_has_its_own_tokens(cli: Cli) -> None:
    few, many = (header_of(answered(cli, "--source-tokens", count)) for count in ("2", "6"))
    alike = header_of(answered(cli))
    assert [each.options.source_tokens for each in (few, many, alike)] == [2, 6, 4]
    for header, of_source in ((few, 2), (many, 6), (alike, 4)):
        phases = header.breakdown.phases
        last = max(stage.phase for stage in header.stages if stage.pass_name == "source")
        for phase, fill, ii, cycles in zip(
            phases["phase"], phases["fill_cycles"], phases["ii_cycles"], phases["prefill_cycles"], strict=True
        ):
            assert cycles == fill + ((of_source if phase <= last else 4) - 1) * ii
        assert header.metrics["prefill_tokens"] == 4
        assert header.metrics["prefill_ns"] >= header.bounds["prefill_ns"].lower
        # A sequence runs its source once: what decodes is the target's pass.
        begins = min(
            start
            for start, stage in zip(header.breakdown.stages["start"], header.stages, strict=True)
            if stage.pass_name == "target"
        )
        assert header.metrics["decode_latency_ns"] == header.metrics["latency_ns"] - begins
        assert 1e9 / header.metrics["decode_tokens_per_s"] == pytest.approx(header.metrics["decode_latency_ns"])
    assert few.metrics["prefill_energy_pj"] < alike.metrics["prefill_energy_pj"] < many.metrics["prefill_energy_pj"]


def test_files_are_checked_replayed_and_compared_with_their_source(cli: Cli) -> None:
    one, other = (str(answered(cli, "--source-tokens", count)) for count in ("1", "6"))
    assert cli("check", one, other).code == 0
    (replayed,) = json.loads(cli("replay", other, "--stream", "0", "--json").out)["files"].values()
    prefill = replayed["replay"]["prefill"]
    assert (prefill["tokens"], prefill["source_tokens"]) == (4, 6)
    assert prefill["difference"] == pytest.approx(0, abs=0.5)
    fewer = cli("replay", other, "--stream", "0", "--tokens", "2", "--source-tokens", "3")
    assert "prefill of 2 tokens, 3 of the source" in fewer.out
    assert "source_tokens is 1 in" in " ".join(cli("compare", one, other).out.split())


def test_a_model_of_one_pass_has_no_source(cli: Cli) -> None:
    asked = ["--hw", "chip.json", "--model", "bert.json", "--strategy", "spread"]
    refused = cli(*asked, "--source-tokens", "3")
    assert refused.code == 2
    assert "--source-tokens: 3: bert.json has no encoder beside a decoder" in refused.err
    assert cli(*asked).code == 0
    written = next(Path("results").glob("bert*.json"))
    assert "source_tokens" not in json.loads(written.read_text())["options"]
    assert cli("replay", str(written), "--source-tokens", "3").code == 2


def test_on_a_network_what_the_target_begins_with_comes_for_each_of_its_tokens(cli: Cli) -> None:
    Path("chip.json").write_text(json.dumps(mesh_chip(array__rows=16, array__cols=16, core__arrays=16)))
    header = header_of(answered(cli, "--source-tokens", "6"))
    begins = [
        start
        for start, stage in zip(header.breakdown.stages["start"], header.stages, strict=True)
        if stage.pass_name == "target"
    ]
    beyond = header.metrics["decode_latency_ns"] - (max(header.breakdown.stages["end"]) - min(begins))
    tail = next(stage.tail_cycles for stage in header.stages if stage.pass_name == "target" and stage.tail_cycles)
    assert beyond > tail
