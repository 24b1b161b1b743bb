"""What `mkdocs build` adds to the pages: the help of every command, the committed results, links that hold there.

The pages of docs/ are written to be read in the repository as well. In the site, docs/ is the root, results/ lies
beside the pages, and what lies elsewhere in the repository is not there: a link to it becomes its name.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from cimsolve.cli import COMMANDS, parse_command
from cimsolve.cli.options.hw import ACTIONS

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
HELP = "<!-- the help of every command -->"
"""Where docs/commands.md has the texts."""

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
