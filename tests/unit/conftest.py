"""What several unit tests share."""

from __future__ import annotations

import pytest
from small_warehouse import SmallWarehouse, make_warehouse


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallWarehouse:
    """A filtered and indexed warehouse of three videos."""
    return make_warehouse(tmp_path_factory.mktemp("small"))
