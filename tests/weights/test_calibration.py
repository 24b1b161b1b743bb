"""Inputs of linears, from files and from texts: split fairly, read with suspicion."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file

from cimsolve.errors import InputError
from cimsolve.weights.folder import WeightFolder
from cimsolve.weights.forward.tokens import SAMPLE, read_paragraphs
from cimsolve.weights.inputs import InputFile, LinearInputs, heard_in, part_of, read_sequences, sequences_by_use
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import model_folder, reference_of

Floats = npt.NDArray[np.float32]

WORDS = ["[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrst"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BERT that knows letters, with a tokenizer that adds [CLS] and [SEP]."""
    tokenizers = pytest.importorskip("tokenizers")
    place = model_folder(tmp_path / "bert", BERT)
    words = {word: number for number, word in enumerate(WORDS)}
    encoder = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    encoder.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    encoder.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    encoder.enable_padding(length=50)  # as published folders do; it must not count
    encoder.save(str(place / "tokenizer.json"))
    return place


def text_file(tmp_path: Path, *paragraphs: str) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(paragraphs))
    return path


def sequences(folder: Path, texts: list[Path | str], most: int = 1000) -> list[list[int]]:
    return [ids.tolist() for ids in read_sequences(texts, folder, WeightFolder(folder), 12, most)]


def test_paragraphs_become_sequences(folder: Path, tmp_path: Path) -> None:
    text = text_file(tmp_path, "a b\nc", "d z")
    assert sequences(folder, [text]) == [[1, 3, 4, 5, 2], [1, 6, 0, 2]]


def test_long_paragraphs_are_cut_to_the_context_and_texts_to_the_number_asked_for(folder: Path, tmp_path: Path) -> None:
    """25 letters at 10 a sequence beside [CLS] and [SEP]: 12 + 12 + 7 tokens."""
    text = text_file(tmp_path, " ".join("a" * 25), "b")
    assert [len(ids) for ids in sequences(folder, [text])] == [12, 12, 7, 3]
    assert [len(ids) for ids in sequences(folder, [text], most=26)] == [12, 12]
    assert [len(ids) for ids in sequences(folder, [text], most=5)] == [5]


def test_as_much_is_read_of_each_text_in_turns(folder: Path, tmp_path: Path) -> None:
    """8 letters and 2 a sequence, 4 and 2; 30 tokens of each."""
    (tmp_path / "other").mkdir()
    long, short = text_file(tmp_path, *["a b c d e f g h"] * 9), text_file(tmp_path / "other", *["m n o p"] * 9)
    found = sequences(folder, [long, short], most=60)
    assert [len(ids) for ids in found] == [10, 6, 6, 10, 6, 6, 10, 6]


def test_a_paragraph_is_in_the_same_part_whatever_stands_around_it(folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    words = [" ".join(random.choice(list("abcdefghijklmnopqrst"), 8)) for _ in range(60)]
    (tmp_path / "other").mkdir()
    first, other = text_file(tmp_path, *words), text_file(tmp_path / "other", "a b", *words[::-1])

    def parts(texts: list[Path], most: int) -> list[set[bytes]]:
        read = read_sequences(texts, folder, WeightFolder(folder), 12, most)
        return [{ids.tobytes() for ids in part} for part in sequences_by_use(read)]

    fit, stop, held = parts([first], 10**4)
    assert {len(held), len(stop)} <= set(range(5, 20))
    assert len(fit) > 25
    for texts, most in (([other], 10**4), ([other, first], 300), ([first], 100)):
        learnt, measured, tested = parts(texts, most)
        assert learnt | measured
        assert not tested & (fit | stop)
        assert not held & (learnt | measured)


def test_the_text_that_is_shipped() -> None:
    paragraphs = read_paragraphs(SAMPLE)
    assert len(paragraphs) == len(set(paragraphs)) >= 50
    assert all("\n" not in paragraph for paragraph in paragraphs)


def test_a_split_holds_out_a_fifth_of_the_groups() -> None:
    inputs = np.arange(20, dtype=np.float32)[:, None]
    found = LinearInputs.split(inputs, np.repeat(np.arange(10), 2))
    assert found.fit.ravel().tolist() == [0, 1, 2, 3, 6, 7, 10, 11, 12, 13, 16, 17]
    assert found.stop.ravel().tolist() == [4, 5, 14, 15]
    assert found.held_out.ravel().tolist() == [8, 9, 18, 19]
    assert len(found.calibration) == 16


def test_inputs_heard_in_a_text_are_those_of_the_forward_pass(folder: Path, tmp_path: Path) -> None:
    reference = reference_of(folder)
    text = text_file(tmp_path, *["a b c d", "e f g", "h i j k l", "m n o", "p q r s"])
    ids = read_sequences([text], folder, WeightFolder(folder), 12, 1000)
    heard: dict[str, LinearInputs] = {}
    heard_in(reference, ids)(heard.__setitem__)
    assert list(heard) == [linear.name for linear in reference.model.linears]
    first = heard["encoder.layer.0.attention.self.query"]
    held = np.repeat([part_of(each) == 4 for each in ids], [len(each) for each in ids])
    np.testing.assert_array_equal(first.held_out, reference._embed(ids)[held])
    np.testing.assert_array_equal(first.held_out, heard["encoder.layer.0.attention.self.key"].held_out)
    assert len(first.fit) + len(first.stop) + len(first.held_out) == sum(map(len, ids))


def test_texts_that_are_too_short(folder: Path, tmp_path: Path) -> None:
    ids = read_sequences([text_file(tmp_path, "a", "b")], folder, WeightFolder(folder), 12, 1000)
    with pytest.raises(InputError, match="the text: 2 paragraphs are too few to fit"):
        heard_in(reference_of(folder), ids)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no text"),
        (b"\n \n\n", "holds no text"),
        (b"abc \xff", "byte 4 is not UTF-8"),
        (None, "cannot be read"),
    ],
)
def test_texts_that_are_none(folder: Path, tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "t.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        sequences(folder, [path])


def test_folders_without_a_tokenizer(tmp_path: Path, folder: Path) -> None:
    bare = model_folder(tmp_path / "bare", LLAMA)
    with pytest.raises(InputError, match=r"no tokenizer\.json in it"):
        sequences(bare, ["sample"])
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(InputError, match="is no tokenizer that can be read"):
        sequences(folder, ["sample"])


def test_without_the_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        InputError, match=r"reading a text needs the tokenizers library: pip install 'cimsolve\[text\]'"
    ):
        sequences(folder, ["sample"])


# Files of inputs


def linears(tmp_path: Path) -> tuple[Any, ...]:
    return reference_of(model_folder(tmp_path / "llama", LLAMA)).model.linears


def arrays(tmp_path: Path, samples: int = 100) -> dict[str, Floats]:
    rng = np.random.default_rng(0)
    return {linear.name: rng.standard_normal((samples, linear.n_in)).astype(np.float32) for linear in linears(tmp_path)}


def written(tmp_path: Path, suffix: str, content: dict[str, Any]) -> Path:
    path = tmp_path / f"inputs{suffix}"
    if suffix == ".npz":
        np.savez(path, **content)
    else:
        save_file(content, path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_files_of_inputs(tmp_path: Path, suffix: str) -> None:
    content = arrays(tmp_path)
    file = InputFile(written(tmp_path, suffix, content))
    assert file.samples(linears(tmp_path)) == 100
    heard: dict[str, LinearInputs] = {}
    file.calibration(linears(tmp_path))(heard.__setitem__)
    assert list(heard) == list(content)
    for name, inputs in heard.items():
        # Runs of two samples: 0-1 fit, 2-3 fit, 4-5 stop, 6-7 fit, 8-9 held out.
        np.testing.assert_array_equal(inputs.held_out[:2], content[name][8:10])
        np.testing.assert_array_equal(inputs.stop[:2], content[name][4:6])
        assert (len(inputs.fit), len(inputs.stop), len(inputs.held_out)) == (60, 20, 20)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda each: each[:, :-1], r"shape \(100, 15\); expected \(samples, 16\), the inputs of model\.layers\.1"),
        (lambda each: each[0], r"shape \(16,\); expected"),
        (lambda each: each[:10], "10 samples in runs of 10 are too few"),
        (lambda each: None, r"no tensor model\.layers\.1\.self_attn\.v_proj; near names: model\.layers\.1\.self_attn"),
    ],
)
def test_files_whose_arrays_do_not_fit(tmp_path: Path, suffix: str, change: Any, message: str) -> None:
    content = arrays(tmp_path)
    name = "model.layers.1.self_attn.v_proj"
    changed = change(content.pop(name))
    if changed is not None:
        content[name] = np.ascontiguousarray(changed)
    with pytest.raises(InputError, match=message):
        InputFile(written(tmp_path, suffix, content)).samples(linears(tmp_path))


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_inputs_that_are_no_numbers(tmp_path: Path, suffix: str) -> None:
    content = arrays(tmp_path)
    content["model.layers.0.mlp.down_proj"][3, 3] = np.nan
    file = InputFile(written(tmp_path, suffix, content))
    with pytest.raises(InputError, match=r"down_proj: 1 of 2400 numbers are NaN or infinite, first in row 3"):
        file.calibration(linears(tmp_path))(lambda name, inputs: None)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a \.npz or a \.safetensors file"):
        InputFile(tmp_path / "inputs.pt")
    for name in ("a.npz", "a.safetensors"):
        with pytest.raises(InputError, match="cannot be read"):
            InputFile(tmp_path / name)
    path = written(tmp_path, ".npz", arrays(tmp_path))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"is no sound \.npz file"):
        InputFile(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"not an array")
    with pytest.raises(InputError, match=r"is no sound \.npz file"):
        InputFile(path)


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2 if version[0] == 1 else 4, "little") + header.encode() + data


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy("{" * 100), "its header cannot be read"),
        (npy("(" * 5000), "its header cannot be read"),
        (npy("{'a': 1}"), "its header cannot be read"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2), }", bytes(16)), "are announced"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 16), }", bytes(64)), "64 bytes follow"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }"), "are announced, 0 bytes follow"),
        (npy("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }", bytes(4)), "holds int32; expected floating"),
        (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", bytes(4)), "expected floating"),
        (npy("{}", version=b"\x09\x00"), "is no sound"),
        (b"\x93NUM", "is no sound"),
        (b"", "is no sound"),
    ],
)
def test_members_that_are_no_arrays_of_floats(tmp_path: Path, member: bytes, message: str) -> None:
    path = tmp_path / "i.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member)
    with pytest.raises(InputError, match=message) as refused:
        InputFile(path)
    assert str(path) in str(refused.value)
    assert str(refused.value).isprintable()


def test_archives_that_numpy_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "i.npz"
    array = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", bytes(4))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.npy", array)
    with pytest.raises(InputError, match="compressed in an unusual way"):
        InputFile(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", array)
        archive.writestr("x", array)
    with pytest.raises(InputError, match="x stands twice"):
        InputFile(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\x1b[31m.npy", array)
    with pytest.raises(InputError, match=r'the name "\\u001b'):
        InputFile(path)


def test_arrays_by_columns_compressed_and_of_old_headers(tmp_path: Path) -> None:
    """What numpy reads is read, and to the same numbers."""
    content = arrays(tmp_path)
    path = tmp_path / "i.npz"
    np.savez_compressed(path, **{name: np.asfortranarray(each.astype(">f8")) for name, each in content.items()})
    name = linears(tmp_path)[0].name
    old = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (100L, 16L), }", content[name].tobytes())
    for _ in range(2):
        heard: dict[str, LinearInputs] = {}
        InputFile(path).calibration(linears(tmp_path))(heard.__setitem__)
        for each, inputs in heard.items():
            np.testing.assert_array_equal(inputs.held_out[:2], content[each][8:10])
        np.savez(path, **{each: array for each, array in content.items() if each != name})
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(f"{name}.npy", old)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="holds object; expected floating-point"):
        InputFile(tmp_path / "p.npz")
    (tmp_path / "q.npz").write_text(json.dumps({}))
    with pytest.raises(InputError, match="is no sound"):
        InputFile(tmp_path / "q.npz")
