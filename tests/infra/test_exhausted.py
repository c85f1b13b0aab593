"""Errors that mean too little memory are told apart from all others."""

import errno
import os

import pytest

from infra.exhausted import exhausted

OURS = [
    MemoryError(),
    MemoryError("Unable to allocate 8.00 GiB for an array"),
    RuntimeError("can't start new thread"),
    ImportError("_sqlite3.so: failed to map segment from shared object"),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    RuntimeError("DefaultCPUAllocator: [12] Cannot allocate memory"),
]
OTHERS = [
    RuntimeError("size mismatch"),
    ImportError("libgomp.so: cannot allocate memory in static TLS block"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    ValueError("can't start new thread"),
    RuntimeError(),
]


@pytest.mark.parametrize("error", OURS, ids=repr)
def test_too_little_memory_is_told_with_what_makes_less_of_it(error):
    said = exhausted(error)
    assert said.startswith("memory or threads are used up (")
    assert "ulimit" in said
    assert "beam.buckets" in said


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_other_errors_are_none_of_memory(error):
    assert exhausted(error) == ""
