"""What came of a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What came of one check.

    found: how things are.  mend: the command, or the change, that puts them right; None where they are.
    """

    check: str
    found: str
    mend: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is nothing to mend."""
        return self.mend is None

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return {"check": self.check, "ok": self.ok, "found": self.found, "mend": self.mend}


def findings_as_text(findings: Sequence[Finding]) -> str:
    """A line for each check, and one below it that says how to mend what failed."""
    lines = []
    for finding in findings:
        lines.append(f"{'ok' if finding.ok else 'FAILED':<7} {finding.check:<10} {finding.found}")
        if finding.mend is not None:
            lines.append(f"{'':<18} → {finding.mend}")
    failed = sum(not finding.ok for finding in findings)
    return "\n".join([*lines, f"{failed} of {len(findings)} checks failed" if failed else "all is well"])
