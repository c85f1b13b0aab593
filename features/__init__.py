"""The domain language: events, sequences, samples (NumPy, Arrow, Polars; no torch, no Beam).

Beside this file stands what everyone speaks of: the contracts of all tables (`schemas`), what a
stage reads (`inputs`, `carry`), the words of the paper (`events`, `property`, `sequence`, `labels`,
`price`, `ranking`, `samples`), rows of tables (`vocabulary`, `catalog`), tools over arrays.
What only some of it needs lies in folders, in the order of the flow:

    raw         somebody's log, described by one file: texts to typed columns, refusals
    quality     tallies of a day, and when a day is abnormal
    items       counts, rates and LR-CTR of every item; which ids were seen
    questions   moments, their candidates and negatives, what is on offer
    abtest      arms, and what came of the pages of each
"""
