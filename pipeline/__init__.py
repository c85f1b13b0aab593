"""The story: steps, settings, CLI; Beam jobs in `pipeline.jobs`.

`steps` has one short function a box of the flow and is the way in for both front doors, the DAGs
and `pipeline.cli`. What a step does stands in the folder of its room, in the order of the flow:

    raw         a day of somebody's log: imported, arrived, read, accounted for
    beam, jobs  how jobs run here; the jobs of the data plane
    quality     a day measured and judged
    learn       train and update
    release     evaluate, gate, canary, register, promote, check
    represent   representations of every user
    nights      whose turn it is, what became of it, who is told
    abtest      online experiments and the closed loop
    upkeep      backfill, rebuild, sweep, whereis
    studies, bench, demo
"""
