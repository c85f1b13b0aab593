"""Airflow only: a page per DAG."""
