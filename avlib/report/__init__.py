"""One self-contained HTML file: what a filter run kept, in numbers, and to look at and listen to."""

from avlib.report.findings import Findings, RateRow, read_findings
from avlib.report.page import write_report

__all__ = ["Findings", "RateRow", "read_findings", "write_report"]
