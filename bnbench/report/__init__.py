"""The report of a sweep: as text, as Markdown, as LaTeX, as an HTML page, and as the data behind them."""

from bnbench.report.build import COMPARISON_FORMATS, FORMATS, write_comparison, write_live_report, write_report
from bnbench.report.contents import Contents
from bnbench.report.contrast_words import in_short
from bnbench.report.markdown import markdown_conclusion, markdown_opening
from bnbench.report.runs_page import terminal_runs, write_runs_page
from bnbench.report.terminal import has_colour, terminal_conclusion, terminal_headlines, terminal_table
from bnbench.report.two_sweeps_page import Comparison, terminal_comparison

__all__ = [
    "COMPARISON_FORMATS",
    "FORMATS",
    "Comparison",
    "Contents",
    "has_colour",
    "in_short",
    "markdown_conclusion",
    "markdown_opening",
    "terminal_comparison",
    "terminal_conclusion",
    "terminal_headlines",
    "terminal_runs",
    "terminal_table",
    "write_comparison",
    "write_live_report",
    "write_report",
    "write_runs_page",
]
