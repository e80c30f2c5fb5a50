"""EventSink adapters: one outside system each."""
