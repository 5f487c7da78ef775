"""Embedded Spark listens on this machine's loopback addresses only: driver, JVM and Python workers."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from ipaddress import ip_address

import pytest
from listening_sockets import children, is_loopback, listening, parse
from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]


def test_all_sockets_are_on_loopback(spark: SparkSession) -> None:
    assert spark.range(10).rdd.map(lambda row: row).count() == 10  # starts Python workers
    jvm = int(spark._jvm.java.lang.ProcessHandle.current().pid())  # type: ignore[union-attr]
    found = {}
    for pid in [os.getpid(), jvm, *children(jvm)]:
        with suppress(FileNotFoundError, ProcessLookupError):  # a child has ended meanwhile
            found[pid] = listening(pid)
    assert len(found) > 2
    assert len(found[jvm]) >= 3, "Spark listens nowhere: this test sees nothing"
    assert [address for addresses in found.values() for address in addresses if not is_loopback(address)] == []


def test_addresses_are_read_as_they_are() -> None:
    assert parse("0100007F") == ip_address("127.0.0.1")
    assert is_loopback(parse("0000000000000000FFFF00000100007F")) and is_loopback(parse("0" * 24 + "01000000"))
    assert not is_loopback(parse("00000000")) and not is_loopback(parse("0" * 32))
