"""What avlib needs of a machine, checked one by one. Starts no Spark: avlib.spark.doctor checks that."""
