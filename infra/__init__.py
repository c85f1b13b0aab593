"""Machinery with no domain in it: store, config, MLflow, presets, deployment files."""

import os

# Idle threads of OpenMP spin by default, which beside other work on the same cores costs a training
# most of its time. libgomp reads this when it is loaded, so it must stand before any torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
