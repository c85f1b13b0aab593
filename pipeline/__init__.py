"""The story: steps, settings, CLI; Beam jobs in `pipeline.jobs`."""
