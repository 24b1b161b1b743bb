"""What `mkdocs build` adds: the help of every command, every key of a spec, the committed results; and links that hold.

The pages of docs/ are written to be read in the repository as well. In the site, docs/ is the root, results/ lies
beside the pages, and what lies elsewhere in the repository is not there: a link to it becomes its name.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimsolve.cli import COMMANDS, parse_command
from cimsolve.cli.hw import ACTIONS

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
HELP = "<!-- the help of every command -->"
"""Where docs/commands.md has the texts."""

KEYS = "<!-- every key of the schema -->"
"""Where docs/hardware-keys.md has the table."""

TYPES = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}

LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")


RESULTS = [f"results/{path.name}" for path in sorted((ROOT / "results").glob("*.md"))]
START = "results/benchmarks.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The results in the contents, the page that lists them first."""
    config.nav = [*(config.nav or []), {"Results": [START, *(page for page in RESULTS if page != START)]}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add results/*.md, which docs/ links to."""
    from mkdocs.structure.files import File

    for page in RESULTS:
        files.append(File.generated(config, page, abs_src_path=str(ROOT / page)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    if HELP in markdown:
        markdown = markdown.replace(HELP, help_texts())
    if KEYS in markdown:
        markdown = markdown.replace(KEYS, key_table())
    return relink(markdown, page.file.src_uri, {file.src_uri for file in files})


def relink(markdown: str, page: str, known: set[str]) -> str:
    """Links as they hold in the site, for a page at `page`; those that leave it are text."""
    source = page if page.startswith("results/") else f"docs/{page}"

    def link(match: re.Match[str]) -> str:
        text, target = match.groups()
        path, mark, anchor = target.partition("#")
        if "://" in target or not path:
            return match[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path)).removeprefix("docs/")
        if place not in known and (ROOT / place).exists():
            return text
        return f"[{text}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{mark}{anchor})"

    return LINK.sub(link, markdown)


def help_texts() -> str:
    """One section a command, as its `--help` prints it."""
    commands = [[], *([name] for name in COMMANDS)]
    at = commands.index(["hw"]) + 1
    commands[at:at] = [["hw", action] for action in ACTIONS]
    return "\n".join(f"## {' '.join(['cimsolve', *words])}\n\n```text\n{help_text(words)}```\n" for words in commands)


def help_text(words: list[str]) -> str:
    printed = io.StringIO()
    os.environ["COLUMNS"] = "100"  # argparse asks the terminal otherwise
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        parse_command([*words, "--help"])
    return printed.getvalue()


def key_table() -> str:
    """Every key of a hardware spec with its range and description, from docs/hardware.schema.json."""
    schema = json.loads((ROOT / "docs" / "hardware.schema.json").read_text(encoding="utf-8"))
    rows = [f"| `{key}` | {allowed} | {text} |" for key, allowed, text in schema_keys(schema, schema["$defs"])]
    return "\n".join(["| key | value | meaning |", "|---|---|---|", *rows])


def schema_keys(section: dict[str, Any], sections: dict[str, Any], above: str = "") -> Iterator[tuple[str, str, str]]:
    for name, entry in section["properties"].items():
        key = f"{above}{name}"
        choices = entry.get("anyOf", [entry])
        kind = next(choice for choice in choices if choice.get("type") != "null")
        kind = kind["items"] | {"list": True} if kind.get("type") == "array" else kind
        optional = "" if name in section.get("required", ()) else "; may be absent"
        if "$ref" in kind:
            inner = sections[kind["$ref"].rpartition("/")[2]]
            several = kind.get("list", False)
            yield key, f"{'list of sections' if several else 'section'}{optional}", about(entry, inner)
            yield from schema_keys(inner, sections, f"{key}.N." if several else f"{key}.")
        else:
            yield key, f"{values(kind)}{optional}", about(entry, kind)


def about(*entries: dict[str, Any]) -> str:
    return next((entry["description"] for entry in entries if "description" in entry), "").replace("|", "\\|")


def values(kind: dict[str, Any]) -> str:
    """What a key may be, in words."""
    if "const" in kind or "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind.get("enum", [kind.get("const")]))
    words = TYPES.get(kind.get("type", ""), "section")
    for name, sign in (("exclusiveMinimum", "above"), ("minimum", "at least"), ("maximum", "at most")):
        if name in kind:
            words += f", {sign} {kind[name]:g}"
    return words
