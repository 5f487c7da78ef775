"""What is declared of the tables as a whole."""

from __future__ import annotations

import pyarrow as pa

from avlib import tables


def test_the_log_keeps_bounds_of_what_is_asked_for_and_of_no_text() -> None:
    for table in tables.ALL:
        assert not any(pa.types.is_string(table.schema.field(name).type) for name in table.bounded), table.name
        assert table.bounded and {"step", "sample_id", "video_id"} & set(table.schema.names) <= set(table.bounded)
