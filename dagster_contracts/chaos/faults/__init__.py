"""The kinds of faults that are built in."""
