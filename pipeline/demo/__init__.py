"""`dupn run demo`: the whole story in a real Airflow, told in tables."""
