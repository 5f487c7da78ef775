"""A pytest plugin that prints, above the closing line, how long each folder of tests took."""

from __future__ import annotations

import os
from collections import Counter

import pytest

# Set by .ci/check.sh: the parts that ran before pytest, as name=result=seconds.
_CHECKED = "AVLIB_CHECKED"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each part: lint and types first, then tests/unit, tests/spark, …"""
    lines = [part.split("=") for part in os.environ.get(_CHECKED, "").split()]
    seconds: Counter[str] = Counter()
    failed: set[str] = set()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                folder = "/".join(report.nodeid.split("::")[0].split("/")[:2])
                seconds[folder] += report.duration
                if report.failed:
                    failed.add(folder)
    lines += [[name, "FAILED" if name in failed else "ok", f"{seconds[name]:.1f}"] for name in sorted(seconds)]
    terminalreporter.section("time per part")
    for name, result, duration_s in lines:
        terminalreporter.line(f"{name:<20} {result:<7} {duration_s:>8} s")
