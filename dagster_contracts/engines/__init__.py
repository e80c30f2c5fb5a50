"""Metric engines: they read data and return a Measurement. They know no threshold, and a failure to measure is a value (Unmeasured).

local       default_engine(), LocalEngine: each kind of rule and of data goes to the room that measures it
polars/     PolarsEngine: all metrics of a frame in one lazy pass, failing rows of all of them in another
    frames      pandas, Polars, Arrow -> Polars, with the columns a plan needs; values says what a column is judged as
    expressions metric -> what to select (asked) and which rows break it; by predicates, instants, multiples, containers and nested, keys,
                relations, comparisons, statistics, profiles; cells and objects for Python objects in pandas
    evidence    failing rows; division: the rows that pass apart from those that do not
files/      FilesEngine: paths, folders, globs and S3 addresses (places) -> a frame for the engine within, if they do not change meanwhile
    tables      CSV, Parquet and JSON lines -> LazyFrame; csv_lines and json_depth check what a fast reader would not
    documents   a set of files -> a table of them; sniffing, texts and images look into one file
sql/        SQL rules in DuckDB
gx/         Great Expectations: rules of its own, suites, Data Docs
pushdown/   IbisEngine: a table is measured by the database that it lives in, as one query

bounds, text_forms and typed are shared by several of them.
"""
