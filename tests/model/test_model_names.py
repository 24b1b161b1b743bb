"""What a model is called, and what is given in the place of its config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cimsolve.errors import InputError
from cimsolve.model.load import load_model
from makers.builders import linears, step
from makers.command_line import Cli, assert_refused
from makers.model_configs import config_of, refusal

MODEL = json.dumps(linears(step("a", (16, 16))))


@pytest.mark.parametrize("given", [".", "./", "../mine", "../mine/", "inner/..", "config.json", "./config.json"])
def test_a_folder_has_its_own_name_however_it_is_given(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "inner").mkdir(parents=True)
    (tmp_path / "mine" / "config.json").write_text(MODEL)
    monkeypatch.chdir(tmp_path / "mine")
    assert load_model(given).name == "mine"


def test_a_link_keeps_the_name_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "config.json").write_text(MODEL)
    (tmp_path / "latest").symlink_to("first")
    assert load_model(tmp_path / "latest").name == "latest"


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\x9bb", "a\u202eb", "a\u2028b", "a\u200bb", "x" * 201])
def test_names_that_cannot_be_shown_are_refused(name: str, tmp_path: Path, cli: Cli) -> None:
    for path in (tmp_path / f"{name}.json", tmp_path / name / "config.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(MODEL)
        assert_refused(cli("--model", str(path), "--out", str(tmp_path / "out")), 2, "rename that")
        assert str(path) not in cli("--model", str(path)).err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["a\nb", "\x1b]0;x\x07", "a\x9bb", "a\u202eb", "", "x" * 201])
@pytest.mark.parametrize("what", ["step", "linear"])
def test_names_within_a_model_are_visible_and_short(what: str, name: str) -> None:
    config = linears(step("a", (16, 16)))
    place = config["steps"][0] if what == "step" else config["steps"][0]["linears"][0]
    place["name"] = name
    message = refusal(config)
    assert "steps.0." in message
    assert message.isprintable()


def test_keys_and_values_of_configs_are_shown_on_one_line(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(
        json.dumps(config_of("minilm-l6", **{"\x1b[31m\n\u202e" + "x" * 999: 1, "hidden_size": "\x1b[31m"}))
    )
    assert_refused(cli("--model", str(path)), 2, 'hidden_size = "\\u001b[31m"')
    path.write_text(json.dumps(config_of("minilm-l6", **{"\x1b[31m\n\u202e" + "x" * 999: 1})))
    told = cli("--model", str(path), "--hw", "paper256", "--strategy", "spread", "--simulate", "none", "-q")
    assert told.code == 0
    assert "\\x1b[31m\\n\\u202exxx" in told.err
    assert told.err.count("\n") == 1
    assert max(map(len, told.err.split())) <= 200


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"GGUF\x03\0\0\0", "a GGUF file"),
        (b"PK\x03\x04\x14\0", "a zip archive, such as PyTorch's"),
        (b"\x80\x02\x8a\nl\xfc\x9c", "a pickle"),
        (b"\x08\x08\x12\x07pytorch", "ONNX"),
        (b'\x40\0\0\0\0\0\0\0{"__metadata__"', "a safetensors file"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    ],
)
def test_weights_in_the_place_of_a_config_are_called_by_their_kind(start: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(start + bytes(20 * 2**20))
    with pytest.raises(InputError) as caught:
        load_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: this is ")
    assert kind in message
    assert "config.json" in message
    assert "\n" not in message
