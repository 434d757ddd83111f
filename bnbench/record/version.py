"""The version of bnbench."""

__version__ = "0.1.0"
