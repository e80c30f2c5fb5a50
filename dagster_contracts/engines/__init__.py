"""Metric engines: they read data and return a Measurement. They know no threshold, and a failure to measure is a value (Unmeasured).

frames      any supported frame -> one Polars LazyFrame with the columns a plan needs
predicates  metric + column type -> the Polars expression of the values that fit
polars      PolarsEngine: all metrics of a batch in one lazy pass
local       LocalEngine, the default: Polars, with DuckDB for SQL rules and Great Expectations for its own
sources     FilesEngine: paths, folders and S3 addresses -> a frame for the engine within, and whether they changed meanwhile
places      paths, folders, globs, lists, S3 addresses -> every file
files       CSV, Parquet and JSON lines -> LazyFrame; csv_lines and json_depth check what a fast reader would not
documents   a set of files -> a table of them; sniffing, texts and images look into one file
"""
