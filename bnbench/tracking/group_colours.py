"""Names for groups of runs that MLflow's charts draw in colours of their own.

MLflow takes a group's colour from a list, at a place that a hash of its name says, so that two of three groups may look
alike. Spaces at the end of a name, which nobody sees, move the hash. Read in the UI of 3.17.
"""

from __future__ import annotations

from collections.abc import Sequence

_COLOURS = 29  # in MLflow's list
_GREYS = (10, 11, 12)  # places in that list
_FIRST = (3, 5, 7, 15)  # violet, blue, green, orange
_THEN = (1, 2, 8, 13, 20, 24, 28)  # red, pink, yellow, brown, and light ones
_MOST_SPACES = 100
_REFERENCE = "none"


def coloured(tag: str, names: Sequence[str]) -> dict[str, str]:
    """Each name with as many spaces after it as give its group a colour that no group before it has.

    "none" is grey. Where there are more names than colours to tell apart, the last are as they were.

    Args:
        tag: The tag's key by whose values runs are grouped.
        names: Its values.
    """
    padded_names: dict[str, str] = {}
    taken: set[int] = set()
    for name in names:
        free = {*_GREYS} if name == _REFERENCE else {*_FIRST} - taken or {*_THEN} - taken
        padded = (name + " " * spaces for spaces in range(_MOST_SPACES))
        padded_names[name] = next((text for text in padded if _colour(f"tag.{tag}.{text}") in free), name)
        taken.add(_colour(f"tag.{tag}.{padded_names[name]}"))
    return padded_names


def _colour(group: str) -> int:
    """MLflow's own hash of a group's id."""
    low = high = 0
    for character in group:
        low = (low + ord(character)) % 255
        high = (high + low) % 255
    return (low | high << 8) % _COLOURS
