"""Partitions of which all is found out once, for a question about many of them."""

from functools import cached_property

from infra.errors import PartitionCorrupt, PartitionMissing
from infra.manifest import Manifest
from infra.partition import Partition


class Looked(Partition):
    """A partition of `Store.resolved`: its manifest, or that there is none, is found out once."""

    def exists(self) -> bool:
        """Whether it was published."""
        try:
            self.manifest()
        except PartitionMissing:
            return False
        except PartitionCorrupt:  # it is there
            return True
        return True

    def manifest(self) -> Manifest:
        """The one that was read."""
        found = self._found
        if isinstance(found, Manifest):
            return found
        raise found

    @cached_property
    def _found(self) -> Manifest | PartitionMissing | PartitionCorrupt:
        try:
            return super().manifest()
        except (PartitionMissing, PartitionCorrupt) as error:
            return error

    def names(self) -> list[str]:
        """Listed once."""
        return list(self._names)

    @cached_property
    def _names(self) -> list[str]:
        return super().names()
