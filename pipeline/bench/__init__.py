"""Measurements behind `dupn bench`: data plane, nights, gate, runtimes and the service."""
