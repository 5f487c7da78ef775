"""One self-contained HTML file: what a filter run kept, in numbers, and to look at and listen to.

The page brings torch with it, through suggestions; it is imported when a report is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avlib.report.findings import Findings, RateRow, read_findings

if TYPE_CHECKING:
    from avlib.report.page import write_report

__all__ = ["Findings", "RateRow", "read_findings", "write_report"]


def __getattr__(name: str) -> Any:
    """Import the page when it is first used (PEP 562)."""
    if name != "write_report":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from avlib.report.page import write_report

    return write_report
