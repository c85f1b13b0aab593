"""`docs/settings.md`, made from the settings themselves, so that the page cannot be wrong.

`python -m pipeline.settings_page > docs/settings.md` writes it again; a test holds the two equal.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from infra.config import Config
from pipeline.settings import Settings

HEAD = """\
# Settings

Made by `python -m pipeline.settings_page`; do not edit. Every field stands in a frozen `Config`
beside the code that reads it. Later wins: the defaults below, the preset (`--preset`, else
`DUPN_PRESET`, else `demo`), `DUPN_SET` (pairs separated by commas, or one a line), `--set`. The
home is `--home`, else `DUPN_HOME`, else `./artifacts`. A preset is a TOML file that states only
differences: [infra/presets](../infra/presets), or a path of yours. A value is written as in TOML,
or as plain text; an unknown name is refused with the nearest known one. A table that is given
changes the entries that it names and keeps the others (`gate.floors.ctr_auc=0.6`); an empty one
(`gate.floors={}`) empties it. Only the default of `serve.shares` fills nothing up. A TOML file
gives a table or empties it, not both: say there the value that changes nothing (`l2r_auc = 0`,
`token = 1`).

```
dupn --preset paper --set train.epochs=2 --set samples.negatives=uniform status
dupn --set 'train.tasks=["ctr", "l2r"]' status
```
"""
TABLE = "| setting | default | values | meaning |\n| --- | --- | --- | --- |\n"
BOUNDS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
    "minLength": "length >=",
}


def page() -> str:
    """The whole page as Markdown."""
    fields = Settings.model_fields
    plain = {name: field for name, field in fields.items() if not _section(field)}
    del plain["home"]  # `load` refuses it: it is the environment's
    parts = [HEAD, "## General\n\n" + TABLE + "".join(_rows(Settings, plain))]
    for name, field in fields.items():
        kind = _section(field)
        if kind:
            parts.append(_of_section(name, kind))
    return "\n".join(parts)


def _of_section(name: str, kind: type[BaseModel]) -> str:
    place = kind.__module__.replace(".", "/") + ".py"
    words = " ".join((kind.__doc__ or "").split())
    rows = "".join(_rows(kind, kind.model_fields, f"{name}."))
    return f"## {name}\n\n{words} ([{place}](../{place}))\n\n{TABLE}{rows}"


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Config) else None


def _rows(
    kind: type[BaseModel], fields: Mapping[str, FieldInfo], prefix: str = ""
) -> Iterator[str]:
    schema = kind.model_json_schema()
    for name, field in fields.items():
        default = json.loads(
            json.dumps(field.get_default(call_default_factory=True), default=_plain)
        )
        values = _values(schema["properties"][name], schema.get("$defs", {}))
        meaning = " ".join((field.description or "").split())
        cells = (f"`{prefix}{name}`", _shown(default), values, meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _shown(default: Any) -> str:
    return "absent" if default is None else f"`{json.dumps(default)}`"


def _values(of: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    """The type of a setting, its choices and its bounds, out of its JSON schema."""
    if "$ref" in of:
        return _values(named[of["$ref"].rpartition("/")[2]], named)
    if "anyOf" in of:
        found = [_values(one, named) for one in of["anyOf"] if one.get("type") != "null"]
        return " or ".join(found)
    if "enum" in of:
        return ", ".join(f"`{choice}`" for choice in of["enum"])
    if of.get("type") == "array":
        return f"list of {_values(of['items'], named)}"
    if of.get("type") == "object":
        names = ", ".join(f"`{name}`" for name in of.get("properties", ()))
        return f"table of {names or _values(of.get('additionalProperties', {}), named)}"
    told = {
        key: str(of[key]) if isinstance(of[key], int) else f"{of[key]:g}"
        for key in BOUNDS
        if key in of
    }
    bounds = [f"{BOUNDS[key]} {bound}" for key, bound in told.items()]
    return " ".join([str(of.get("format", of.get("type", "any"))), ", ".join(bounds)]).strip()


if __name__ == "__main__":
    sys.stdout.write(page())
