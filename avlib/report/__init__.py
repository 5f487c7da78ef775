"""One self-contained HTML file that shows what a filter run kept: numbers, components to look at and listen to."""

from avlib.report.findings import Findings, RateRow, read_findings
from avlib.report.page import write_report

__all__ = ["Findings", "RateRow", "read_findings", "write_report"]
