"""Fifteen kinds of English text from Debian packages, one file a kind, as results/finetune.md learns from them.

apt-get download PACKAGE ...            each of `PACKAGES`
dpkg-deb -x FILE.deb x/PACKAGE          each of them
python benchmarks/tuning_texts.py x texts
"""

from __future__ import annotations

import argparse
import bisect
import gzip
import html
import itertools
import random
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

CHARACTERS_MOST = 2_600_000
"""Of a kind."""
PARAGRAPH_MOST = 1600
"""Characters of a paragraph; what is longer is cut at a space."""

ROFF_SIGNS = {"\\-": "-", "\\(aq": "'", "\\(dq": '"', "\\e": "\\"}


def write_kind(paragraphs: Iterable[str], least: int, out: Path) -> None:
    """Different paragraphs of `least` characters and more that are mostly words, in a drawn order."""
    found: dict[str, str] = {}
    for raw in paragraphs:
        whole = " ".join(raw.split())
        text = whole if len(whole) <= PARAGRAPH_MOST else whole[:PARAGRAPH_MOST].rsplit(" ", 1)[0]
        letters = sum(each.isalpha() or each == " " for each in text)
        if len(whole) >= least and letters >= 0.85 * len(text) and sum(map(str.isascii, text)) >= 0.97 * len(text):
            found.setdefault(whole, text)
    drawn = list(found.values())
    random.Random(0).shuffle(drawn)
    ends = list(itertools.accumulate(map(len, drawn)))
    some = drawn[: bisect.bisect_right(ends, CHARACTERS_MOST) + 1]
    out.write_text("\n\n".join(some) + "\n", encoding="utf-8")
    print(f"{out}: {len(some)} paragraphs")


class Packages:
    """Packages unpacked below a folder, each in one of its name."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def texts(self, package: str, *patterns: str) -> Iterator[str]:
        """What is in the files of these patterns, in the order of their names."""
        paths = {path for pattern in patterns for path in (self._root / package).rglob(pattern)}
        for path in sorted(path for path in paths if path.is_file() and not path.is_symlink()):
            data = path.read_bytes()
            yield (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8", "replace")

    def marked(self, package: str, *patterns: str) -> Iterator[str]:
        """Paragraphs of HTML and its like."""
        for text in self.texts(package, *patterns):
            for found in re.findall(r"<p(?:\s[^>]*)?>(.*?)</p>", text, re.DOTALL):
                yield html.unescape(re.sub(r"<[^>]+>", "", found))

    def plain(self, package: str, *patterns: str) -> Iterator[str]:
        for text in self.texts(package, *patterns):
            yield from re.split(r"\n\s*\n|\n%%%+\n", text)

    def manuals(self, package: str) -> Iterator[str]:
        """Paragraphs of roff."""
        for text in self.texts(package, "man[1-8]/*.gz"):
            part: list[str] = []
            for line in [*text.splitlines(), ".PP"]:
                if re.match(r"\.(B|I|BR|IR|RB|RI|BI|IB)\b", line):
                    line = line.split(" ", 1)[-1].replace('"', "")
                elif line.startswith((".", "'")):
                    if not re.match(r"\.(\\\"|br|ft|nh|hy|ad)", line):
                        yield " ".join(part)
                        part = []
                    continue
                plain = re.sub(r"\\f.|\\&|\\\||\\c", "", line)
                for sign, letter in ROFF_SIGNS.items():
                    plain = plain.replace(sign, letter)
                part.append(plain)

    def pods(self, package: str) -> Iterator[str]:
        for text in self.texts(package, "*.pod"):
            for part in text.split("\n\n"):
                if not part.startswith(("=", " ")):
                    yield re.sub(r"[A-Z]<+ ?([^<>]*?) ?>+", r"\1", part)

    def entries(self) -> Iterator[str]:
        """Of a dictionary, without what stands in brackets."""
        for text in self.texts("dict-gcide", "gcide.dict.dz"):
            yield from (re.sub(r"\[[^\]]*\]|[{}]", "", each) for each in re.split(r"\n(?=\S)", text))

    def novels(self) -> Iterator[str]:
        """The lines that R keeps of them: objects that are compressed, in which strings are told by their lengths."""
        for path in sorted((self._root / "r-cran-janeaustenr").rglob("*.rdb")):
            data, at = path.read_bytes(), 0
            while at < len(data):
                try:
                    inflate = zlib.decompressobj()
                    kept = inflate.decompress(data[at:])
                    at = len(data) - len(inflate.unused_data)
                except zlib.error:
                    at += 1
                    continue
                yield from "\n".join(_strings(kept)).split("\n\n")

    def stories(self) -> Iterator[str]:
        """What is told in the missions of a game: lines in backticks, about 500 characters together."""
        for text in self.texts("endless-sky-data", "data/*.txt"):
            part: list[str] = []
            for line in [*text.splitlines(), ""]:
                told = re.match(r"\s*(?:description )?`(.*)`", line) or re.match(r'\s*description "(.*)"', line)
                if told:
                    part.append(re.sub(r"<[^>]+>", "it", told[1]))
                if part and (not told or len(" ".join(part)) > 500):
                    yield " ".join(part)
                    part = []


def _strings(data: bytes) -> Iterator[str]:
    for found in re.finditer(rb"\x00[\x04\x00]\x00\x09", data):
        length = int.from_bytes(data[found.end() : found.end() + 4], "big")
        if length < 400:
            yield data[found.end() + 4 : found.end() + 4 + length].decode("latin1")


def kinds(at: Packages) -> Mapping[str, tuple[int, Callable[[], Iterable[str]]]]:
    """Name -> the least characters of a paragraph, and what has them."""
    return {
        "novels": (200, at.novels),
        "dictionary": (120, at.entries),
        "stories": (200, at.stories),
        "dungeon": (120, lambda: at.plain("crawl-common", "*.txt")),
        "manuals": (200, lambda: [*at.manuals("manpages"), *at.manuals("manpages-dev")]),
        "git": (200, lambda: at.marked("git-doc", "*.html")),
        "python": (200, lambda: at.marked("python3.11-doc", "*.html")),
        "perl": (200, lambda: at.pods("perl-doc")),
        "kernel": (200, lambda: at.marked("linux-doc-6.1", "*.html")),
        "gimp": (200, lambda: at.marked("gimp-help-en", "*.html")),
        "desktop": (120, lambda: at.marked("gnome-user-docs", "C/**/*.page")),
        "databases": (200, lambda: [*at.marked("postgresql-doc-15", "*.html"), *at.marked("sqlite3-doc", "*.html")]),
        "mathematics": (200, lambda: at.marked("octave-doc", "*.html")),
        "rust": (
            200,
            lambda: at.marked("rust-doc", "book/*.html", "reference/*.html", "nomicon/*.html", "cargo/**/*.html"),
        ),
        "policy": (
            200,
            lambda: [
                *at.marked("debian-policy", "*.html"),
                *at.marked("developers-reference", "*.html"),
                *at.marked("harden-doc", "*.en.html"),
            ],
        ),
    }


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Kinds of text from unpacked Debian packages, one file a kind.")
    parser.add_argument(
        "packages", type=Path, metavar="FOLDER", help="has each package unpacked in a folder of its name"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="write the texts there")
    asked = parser.parse_args(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, (least, paragraphs) in kinds(Packages(asked.packages)).items():
        write_kind(paragraphs(), least, asked.out / f"{name}.txt")


if __name__ == "__main__":
    main()
