"""Chaos for contracts: faults are injected into batches that are known to be good, and what no rule notices is what the contract lacks.

    shape      what a fault may know of a batch before it touches it
    batch      a delivery, and a delivery with a fault in it
    fault      a fault: what it is called, where it fits, how hard it can hit; `fault` makes one of a function
    faults     the kinds that are built in, by group
    run        the campaign: clean batches first, then every fault in every column at each dose, then how small a dose may be
    trials     one of those: injected, measured (shortcut), judged after what came before (history), with what follows (consequences)
    campaign   what came of it: clean alarms, a cell for each fault and column, a trial for each dose
    score      campaign -> mutation score per clause group, and the clauses that are missing
    propose    what was missed -> clauses that catch it and that clean batches keep to, and the new version of the contract's text
    page       all of it as one HTML page
    deliveries, own, elsewhere   batches out of files; faults of one's own; faults in frames and files outside a campaign

Frames are Polars; engines are reached through `ports.MetricEngine`, given by the caller.
"""
