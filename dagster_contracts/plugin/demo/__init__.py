"""A lending platform whose vendor breaks the contract on day 6: the example code location, and the story `dagster-contracts demo` tells."""
