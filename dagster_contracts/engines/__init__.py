"""Metric engines: they read data and return a Measurement. They know no threshold, and a failure to measure is a value (Unmeasured).

frames      any supported frame -> Polars, with the columns a plan needs; values says what a column is judged as
expressions frame + metric -> what to select (asked), which rows break; by predicates, instants, multiples, containers and nested,
            keys, relations, comparisons, statistics, profiles; cells and objects for Python objects in pandas
polars      PolarsEngine: all metrics of a batch in one pass; evidence: failing rows of all of them in another
local       LocalEngine, the default: Polars, with DuckDB for SQL rules and Great Expectations for its own
sources     FilesEngine: paths, folders and S3 addresses -> a frame for the engine within, and whether they changed meanwhile
places      paths, folders, globs, lists, S3 addresses -> every file
files       CSV, Parquet and JSON lines -> LazyFrame; csv_lines and json_depth check what a fast reader would not
pushdown    IbisEngine: a table is measured by the database that it lives in, as one query
documents   a set of files -> a table of them; sniffing, texts and images look into one file
"""
