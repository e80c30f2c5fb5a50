"""Great Expectations: its expectations as rules, a contract as its suite and Data Docs."""
