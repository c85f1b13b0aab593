"""Machinery with no domain in it: store, config, MLflow, presets, deployment files."""
