"""Machinery with no domain in it: store, config, MLflow, presets, deployment files."""

import os

# Idle threads of OpenMP spin by default, which beside other work on the same cores costs a training
# most of its time. libgomp reads this when it is loaded, so it must stand before any torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Libraries that tell their makers of every run unless one of these says otherwise, which is read
# when they are imported or start; whoever wants that sets the variable.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
