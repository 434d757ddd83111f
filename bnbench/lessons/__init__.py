"""Lessons: each one source that is executed as a notebook, whose numbers come from trials run there and then."""

from bnbench.lessons.slide import Slide, colour
from bnbench.lessons.words import by_sign, in_points

__all__ = ["Slide", "by_sign", "colour", "in_points"]
