"""The pure heart: contract -> plan -> measurement -> verdict -> transition -> route -> events.

No clock, no I/O, no frames, no SQL, no Dagster; `now` is always an argument. Read in this order:

    errors    what can go wrong
    inert     strangers' text, made so that nothing acts on it
    contract  what a producer promises, and the breaker policy
    odcs      the Open Data Contract Standard document -> Contract
    plan      Contract -> Plan: rules over metrics, and everything that will not be executed, with the reason
    compile   Contract -> Plan: which rule stands for which clause, and its severity
    verdict   what an engine measured, and what that says of a batch
    judge     Plan + Measurement -> Verdict
    sampling  what some rows can say of the whole of them
    profile   what is kept of a distribution; distances and drift, how far a batch is from it; references, which ones are remembered
    merge     measurements of parts -> that of the whole
    deliveries  when batches come, and what does not come
    windows   micro-batches of a stream, and which rules are judged of them and which of their time window
    ledger    what is remembered of batches, decisions, outputs and reviews
    state     what a circuit breaker knows, and what it needs to know of a batch
    breaker   the state machine
    snapshot  what is read before a decision, and what is written after it
    route     what a consumer reads
    events    what the world is told
"""
