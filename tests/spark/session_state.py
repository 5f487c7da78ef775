"""What a Spark session holds on to: compared before and after a stage."""

from __future__ import annotations

from pyspark.sql import SparkSession


def cached_data(spark: SparkSession) -> set[int]:
    """What Spark keeps, but for the states of tables, which Delta keeps for itself."""
    kept = spark.sparkContext._jsc.getPersistentRDDs().items()
    return {number for number, rdd in kept if not str(rdd.name()).startswith("Delta Table State")}


def session_settings(spark: SparkSession) -> dict[str, str]:
    """All but the version that Delta notes down there with each commit."""
    return {name: value for name, value in dict(spark.conf.getAll).items() if "lastCommitVersion" not in name}
