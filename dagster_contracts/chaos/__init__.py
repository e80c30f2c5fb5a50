"""Chaos for contracts: faults are injected into batches that are known to be good, and what no rule notices is what the contract lacks.

    shape      what a fault may know of a batch before it touches it
    batch      a delivery, and a delivery with a fault in it
    fault      a fault: what it is called, where it fits, how hard it can hit; `fault` makes one of a function
    faults     the kinds that are built in, by group
    campaign   what came of it: clean alarms, a cell for each fault and column, a trial for each dose
    score      campaign -> mutation score per clause group, and the clauses that are missing
    propose    what was missed -> clauses that catch it and that clean batches keep to, and the new version of the contract's text
    page       all of it as one HTML page

Frames are Polars; engines are reached through `ports.MetricEngine`, given by the caller.
"""
