"""The only room that knows Dagster: translates between its definitions, runs and events, and the gate.

Read in this order:

    site           what one `with_contracts` call knows
    definitions    `with_contracts` itself: wraps assets, checks, IO managers; adds checks, sensors, jobs
    routing        inputs, loaded after the gate has spoken; IO managers that tell the ledger what has been written
    step           a gated step from end to end; its parts:
      running_step   what it is about
      halting        where it may not read
      outputs        what it has made: judged, published, set aside; range_runs, several partitions at once
      stored_runs    where it makes nothing: probes and releases
    own_checks     a project's own checks: skipped where nothing is published
    sources        data that Dagster does not make
    sensors        what runs by itself: probes, releases, healing; automated, consumers that go on with fallback data
    operating      jobs for the launchpad; operations, the same for the command line; reading, what is stored
    private        what Dagster does not make public, and nothing else
"""
