"""Frames and files in this process: all metrics of a batch in one lazy Polars pass."""
