"""`python -m bnbench docs`: the pages that come with bnbench."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bnbench.cli.parser import VerbParser
from bnbench.config import ConfigError

_FOLDER = Path(__file__).resolve().parent.parent / "docs"


def main(words: Sequence[str]) -> None:
    """Print the page that is named, or a line for each page."""
    names = VerbParser("docs", names="[NAME]", keys=()).read(words).names
    pages = {file.stem: file.read_text(encoding="utf-8") for file in sorted(_FOLDER.glob("*.md"))}
    if not names:
        print("\n".join(f"  {name:<16}  {_title(page)}" for name, page in pages.items()))
    elif names[0] in pages:
        print(pages[names[0]], end="")
    else:
        raise ConfigError(f"docs {names[0]} is unknown; allowed: {', '.join(pages)}")


def _title(page: str) -> str:
    return page.partition("\n")[0].removeprefix("# ")
