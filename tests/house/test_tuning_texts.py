"""The script that makes texts of packages: long paragraphs of words alone, each once."""

from __future__ import annotations

import gzip
import importlib
from pathlib import Path

import pytest

from makers.folders import ROOT

BENCHMARKS = ROOT / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="needs a checkout")


def test_paragraphs_are_long_of_words_each_once_and_cut_at_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    words = "word " * 50
    packages = {
        "git-doc/a.html": f"<p>short</p><p class=x>{words}<b>&amp;</b> end</p><p>{words}&amp; end</p>".encode(),
        "git-doc/b.html": f"<p>{'0x3f ' * 60}</p>\n<p>{'long ' * 400}</p>".encode(),
        "manpages/man1/a.1.gz": gzip.compress(f".TH A\n{'one ' * 60}\n.B bold\n{'two ' * 9}\n.PP\nnext".encode()),
    }
    for name, data in packages.items():
        path = tmp_path / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    importlib.import_module("tuning_texts").main([str(tmp_path / "x"), str(tmp_path / "texts")])
    written = {path.stem: path.read_text().split("\n\n") for path in (tmp_path / "texts").iterdir()}
    assert len(written) == 15
    whole, cut = sorted((each.strip() for each in written["git"]), key=len)
    assert whole == f"{words}& end"
    assert 1500 < len(cut) <= 1600
    assert cut.endswith("long")
    assert written["manuals"] == ["one " * 60 + "bold " + "two " * 8 + "two\n"]
