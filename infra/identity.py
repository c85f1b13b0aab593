"""The id of a home, by which those who share an MLflow tell their versions and runs apart.

It is drawn when the home first records something there, and kept in the file `identity`; a home
that was moved or copied has it still.
"""

import uuid

from infra.store import Store

IDENTITY = "identity"
"""The file of the store that holds the id."""
HOME = "home"
"""The tag of a version, and of a run."""


def known(store: Store) -> str:
    """The id of a home; empty while it has none."""
    return (store.get(IDENTITY) or b"").decode().strip()


def identity(store: Store) -> str:
    """The id of a home, drawn if it has none; of two who draw one at once both get the first."""
    if not known(store):
        store.put_new(IDENTITY, uuid.uuid4().hex)
    return known(store)
