"""SQL rules, answered by DuckDB in a sandbox."""
