"""A Markdown page of which some sections are written by a command, and the others by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path


def renew_sections(path: Path, sections: Mapping[str, str]) -> None:
    """Put sections into a page in the place of those of the same title; what else it says stays.

    Args:
        path: The page, which need not exist yet.
        sections: By the titles of their `##` headings, in the order in which new ones are added at the end.
    """
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    opening, *parts = re.split(r"^## ", page, flags=re.MULTILINE)
    standing = {title: text for title, _, text in (part.partition("\n") for part in parts)}
    written = [f"## {title}\n\n{text.strip()}" for title, text in {**standing, **sections}.items()]
    path.write_text("\n\n".join([*filter(None, [opening.strip()]), *written]) + "\n", encoding="utf-8")
