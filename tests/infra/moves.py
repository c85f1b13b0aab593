"""What befalls a registry: versions come, are promoted, are moved to by hand, are deleted."""

from infra.registry import MODEL, Registry


def versions(registry: Registry, count: int) -> None:
    for number in range(count):
        registry.register(f"file:///models/{number}", "", {"run_key": f"dupn-{number}"})


def promoted(registry: Registry, count: int) -> None:
    """Versions 1, 2, ... are there, and each was champion, one after the other."""
    versions(registry, count)
    for number in range(1, count + 1):
        registry.promote(str(number), f"number {number}")


def by_hand(registry: Registry, **aliases: str) -> None:
    for alias, number in aliases.items():
        registry.client.set_registered_model_alias(MODEL, alias, number)


def delete(registry: Registry, number: str) -> None:
    registry.client.delete_model_version(MODEL, number)
