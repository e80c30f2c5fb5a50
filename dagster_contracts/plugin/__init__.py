"""The only room that knows Dagster: translates between its definitions, runs and events, and the gate."""
