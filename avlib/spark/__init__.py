"""The only package that imports pyspark: the session, the tables' store, and one module per stage."""
