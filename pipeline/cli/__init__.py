"""The `dupn` command, an Airflow-free front door: every step by hand."""
