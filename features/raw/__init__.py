"""Somebody's log, described by one file, read to the last row: kept, ignored or refused."""
