"""Metric engines: they read data and return a Measurement. They know no threshold, and a failure to measure is a value (Unmeasured).

frames      any supported frame -> one Polars LazyFrame with the columns a plan needs
predicates  metric + column type -> the Polars expression of the values that fit
polars      PolarsEngine: all metrics of a batch in one lazy pass
files       CSV, Parquet and JSON lines -> LazyFrame
"""
