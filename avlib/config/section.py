"""What all sections of the settings have in common."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    def fingerprint(self) -> str:
        """Hash of all values, to tell whether a result was made with the same settings. 16 hex digits."""
        return hash_of(self.model_dump(mode="json"))


def hash_of(values: object) -> str:
    """Hash of a JSON-like value, the same for equal values whatever the key order. 16 hex digits."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
