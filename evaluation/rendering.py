"""Templates of the pages, and pictures inside them: a page needs no other file."""

import base64
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


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


def inside(pictures: Mapping[str, bytes]) -> dict[str, str]:
    """PNGs as a page holds them."""
    return {name: base64.b64encode(data).decode() for name, data in pictures.items()}
