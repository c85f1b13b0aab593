"""Templates of the pages, and pictures inside them: a page needs no other file."""

import base64
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

logger = logging.getLogger(__name__)


def template(name: str) -> Template:
    """A template of `evaluation/templates`; what it is not given is an error."""
    environment = Environment(
        loader=PackageLoader("evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(f"{name}.html.j2")


@contextmanager
def beside(what: str) -> Iterator[None]:
    """Draw a page beside other work: one that cannot be drawn is told of, and stops nothing.

    Pages are made of what is kept, so that the next one has what this one lacks.
    """
    try:
        yield
    except Exception:
        logger.warning("%s could not be drawn", what, exc_info=True)


def inside(pictures: Mapping[str, bytes]) -> dict[str, str]:
    """PNGs as a page holds them."""
    return {name: base64.b64encode(data).decode() for name, data in pictures.items()}
