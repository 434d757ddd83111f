"""The report of a sweep: as text, as Markdown, as LaTeX, as an HTML page, and as the data behind them."""

from bnbench.report.build import FORMATS, write_comparison, write_report
from bnbench.report.contents import Contents
from bnbench.report.markdown import markdown_conclusion
from bnbench.report.terminal import terminal_conclusion, terminal_table
from bnbench.report.two_sweeps_page import Comparison, terminal_comparison

__all__ = [
    "FORMATS",
    "Comparison",
    "Contents",
    "markdown_conclusion",
    "terminal_comparison",
    "terminal_conclusion",
    "terminal_table",
    "write_comparison",
    "write_report",
]
