"""Calibration: stored history -> the thresholds that a contract should have.

observed   history measured once, and the figure of any rule in each of its batches
spread     what a figure usually is, robustly: its level since the last shift, its week, its bounds
incidents  the batches that people say were bad
belonging  whether batches are of the object at all
dials      the thresholds of a contract that can be moved, and where they stand in its text
behaviour  rules that a contract lacks, opened wide
choosing   one rule: loosened, tightened or kept, and why
calibrate  all of it: the new version of the contract, and what it refuses of history
evidence   what people are told of it: JSON, Markdown, a diff

replay     history delivered once more to the real gate: what a contract would have done
recorded   the same of what the ledger recorded: judged anew as far as figures are known
scoring    what that is worth beside the incidents
series     what each rule compared, and with which bounds
telling    a replay in sentences; `account` is its JSON, `page` its page
charts     the figures of rules over the batches, of `shapes` (SVG), and as `png`
"""
