"""Finding specs, and reading and writing JSON files."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsolve.errors import InputError
from cimsolve.files.json_file import parse_json_text, read_json, write_json_atomically
from cimsolve.files.library import resolve_hardware, resolve_model, shipped_hardware, shipped_models

MODELS = {
    # hidden size, feed-forward, layers: as in the published config.json
    "bart-large": ("d_model", 1024, "encoder_ffn_dim", 4096, "encoder_layers", 12),
    "bert-base": ("hidden_size", 768, "intermediate_size", 3072, "num_hidden_layers", 12),
    "bert-large": ("hidden_size", 1024, "intermediate_size", 4096, "num_hidden_layers", 24),
    "gpt2": ("n_embd", 768, "n_ctx", 1024, "n_layer", 12),
    "gpt2-medium": ("n_embd", 1024, "n_ctx", 1024, "n_layer", 24),
    "llama-3.1-405b": ("hidden_size", 16384, "intermediate_size", 53248, "num_hidden_layers", 126),
    "llama-3-70b": ("hidden_size", 8192, "intermediate_size", 28672, "num_hidden_layers", 80),
    "llama-3-8b": ("hidden_size", 4096, "intermediate_size", 14336, "num_hidden_layers", 32),
    "mistral-7b": ("hidden_size", 4096, "intermediate_size", 14336, "num_hidden_layers", 32),
    "minilm-l6": ("hidden_size", 384, "intermediate_size", 1536, "num_hidden_layers", 6),
    "qwen3-0.6b": ("hidden_size", 1024, "intermediate_size", 3072, "num_hidden_layers", 28),
    "gemma-3-1b": ("hidden_size", 1152, "intermediate_size", 6912, "num_hidden_layers", 26),
    "phi-4-mini": ("hidden_size", 3072, "intermediate_size", 8192, "num_hidden_layers", 32),
    "vit-base": ("hidden_size", 768, "intermediate_size", 3072, "num_hidden_layers", 12),
    "mixtral-8x7b": ("num_local_experts", 8, "intermediate_size", 14336, "num_hidden_layers", 32),
    "qwen3-30b-a3b": ("num_experts", 128, "moe_intermediate_size", 768, "num_hidden_layers", 48),
    "gpt-oss-20b": ("num_local_experts", 32, "hidden_size", 2880, "num_hidden_layers", 24),
    "deepseek-v3": ("n_routed_experts", 256, "kv_lora_rank", 512, "num_hidden_layers", 61),
    "t5-base": ("d_model", 768, "d_ff", 3072, "num_layers", 12),
    "whisper-small": ("d_model", 768, "encoder_ffn_dim", 3072, "encoder_layers", 12),
    "smollm2-135m": ("hidden_size", 576, "intermediate_size", 1536, "num_hidden_layers", 30),
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# Names


@pytest.mark.parametrize("text", ["rram256", "rram256.json"])
def test_shipped_hardware_is_found_by_name(text: str) -> None:
    assert json.loads(resolve_hardware(text).read_text())["name"] == "rram256"


def test_file_name_and_spec_name_agree() -> None:
    for name in shipped_hardware():
        assert json.loads(resolve_hardware(name).read_text())["name"] == name


def test_shipped_models_are_the_published_ones() -> None:
    assert shipped_models() == sorted(MODELS)
    for name, facts in MODELS.items():
        config = json.loads(resolve_model(name).read_text())
        for key, value in zip(facts[::2], facts[1::2], strict=True):
            assert config[key] == value


@pytest.mark.parametrize("text", ["rram256", "rram256.json"])
def test_an_existing_file_wins(text: str, tmp_path: Path) -> None:
    (tmp_path / text).write_text("{}")
    assert resolve_hardware(text) == Path(text)
    (tmp_path / "bert-large").write_text("{}")
    assert resolve_model("bert-large") == Path("bert-large")


def test_a_folder_does_not_hide_a_shipped_spec(tmp_path: Path) -> None:
    (tmp_path / "rram256").mkdir()
    assert resolve_hardware("rram256").name == "rram256.json"


def test_model_folder_is_its_config(tmp_path: Path) -> None:
    folder = tmp_path / "bert-large"
    folder.mkdir()
    assert resolve_model("bert-large").name == "bert-large.json"
    (folder / "config.json").write_text("{}")
    assert resolve_model("bert-large") == Path("bert-large/config.json")
    assert resolve_model(str(folder)) == folder / "config.json"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rram265",
            "rram265: there is no such hardware spec; did you mean rram256? give a file or one of: hermes64",
        ),
        ("RRAM256", "did you mean rram256?"),
        ("here/rram256.json", "did you mean rram256?"),
        ("qqq", "qqq: there is no such hardware spec; give a file or one of"),
        ("", "(empty): there is no such hardware spec"),
        ("a\nb", "a\\nb: "),
        ("a\0b", "a\\x00b: "),
        ("x" * 5000, "there is no such hardware spec"),
        ("folder", "folder: is a folder; expected a hardware spec"),
        ("../../etc/passwd.json", "there is no such hardware spec"),
    ],
)
def test_unknown_hardware_is_refused_with_the_list(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        resolve_hardware(text)
    assert message in str(caught.value)
    assert ", ".join(shipped_hardware()) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "other", ["llama-2-70b", "llama-3.1-8b", "roberta-base", "bert-tiny", "gpt2-large", "bart-base", "opt-350m"]
)
def test_a_model_of_another_size_or_kind_is_not_suggested(other: str) -> None:
    with pytest.raises(InputError, match="there is no such model; give a file or one of"):
        resolve_model(other)


def test_unknown_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="there is no such model; did you mean bert-large"):
        resolve_model("bert-lrge")
    with pytest.raises(InputError, match=r"\(empty\): there is no such model"):
        resolve_model("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder: is a folder without a config\.json"):
        resolve_model("folder")


def test_hardware_is_light_to_import() -> None:
    heavy = "[name for name in ('scipy', 'ortools', 'networkx', 'pandas') if name in sys.modules]"
    code = f"import sys, cimsolve.chip.spec; assert not {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True)


# Reading JSON


def refusal(path: Path, max_bytes: int = 100_000) -> str:
    with pytest.raises(InputError) as caught:
        read_json(path, max_bytes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\t", "the file is empty"),
        (b'{"a": [1, 2', "breaks off at line 1"),
        (b'{"a": 1,\n "b', "breaks off at line 2"),
        (b'{"a":', "breaks off"),
        (b"{'a': 1}", "line 1, column 2 is not JSON"),
        (b"hello", "line 1, column 1 is not JSON: expecting value, found 'hello'"),
        (b'{"a": 1} x', "extra data"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', 'the key "c" stands twice'),
        (b'{"a": NaN}', "the number NaN"),
        (b'{"a": -Infinity}', "the number -Infinity"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (b"\x89PNG\r\n", "byte 0 is not UTF-8"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b"[" * 20_000 + b"]" * 20_000, "nested too deeply"),
        (b"1" * 9_000, "digits"),
        (b"\0\0\0", "is not JSON"),
    ],
)
def test_bad_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    assert message in refusal(path)
    assert refusal(path).startswith(str(path))


def test_missing_file_folder_and_bad_path_are_refused(tmp_path: Path) -> None:
    assert "there is no such file; check the path" in refusal(tmp_path / "none.json")
    assert "is a folder" in refusal(tmp_path)
    assert "cannot be read" in refusal(tmp_path / ("x" * 5000))
    assert "cannot be read" in refusal(Path("a\0b"))
    (tmp_path / "file").write_text("{}")
    assert "cannot be read" in refusal(tmp_path / "file" / "below")


def test_too_large_file_is_refused_and_the_limit_itself_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("[1]" + " " * 97)
    assert read_json(path, 100) == [1]
    assert "100 bytes or more: expected at most 99" in refusal(path, 99)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_endless_device_is_refused() -> None:
    assert "expected at most 1000" in refusal(Path("/dev/zero"), 1000)


def test_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(str(path), 100) == {"a": 1}


# Writing JSON

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    write_json_atomically(path, value)
    assert read_json(path, 2**20) == value


def test_top_level_keys_stand_on_their_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_json_atomically(path, {"a": [1, 2], "b": {}})
    assert path.read_text() == '{\n"a": [1, 2],\n"b": {}\n}\n'


@pytest.mark.parametrize("bad", [math.nan, math.inf, object()])
def test_failed_write_leaves_the_old_file_and_nothing_else(bad: object, tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_json_atomically(path, {"old": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json_atomically(path, {"fine": 1, "bad": bad})
    assert read_json(path, 100) == {"old": 1}
    assert os.listdir(tmp_path) == ["out.json"]


def test_unwritable_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        write_json_atomically(tmp_path, {})
    with pytest.raises(InputError, match="cannot be written"):
        write_json_atomically(tmp_path / "none" / "out.json", {})
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="links lead in a circle"):
        write_json_atomically(tmp_path / "loop", {})


def test_link_is_followed_and_device_survives(tmp_path: Path) -> None:
    target = tmp_path / "target.json"
    target.write_text("{}")
    link = tmp_path / "link.json"
    link.symlink_to(target)
    write_json_atomically(link, [1])
    assert link.is_symlink()
    assert read_json(target, 100) == [1]
    write_json_atomically("/dev/null", [1])
    assert not Path("/dev/null").is_file()


@given(st.text())
def test_any_text_parses_or_raises_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_json_text(text)
