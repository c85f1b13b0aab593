"""Settings as frozen types: presets that state only differences, dotted overrides, hints for typos.

Each component owns its `Config` subclass next to the code that reads it; `pipeline.settings`
composes them. Nothing here knows a single setting by name.
"""

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, LiteralString, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from infra.addresses import bare
from infra.errors import ConfigError


class Config(BaseModel):
    """Base of every settings section: immutable; unknown keys are refused, and `nan` and `inf`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    def digest(self) -> str:
        """Twelve hex digits that change when any setting does (kept in lineage)."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def decided_by(self, **beside: str | int) -> str:
        """Twelve hex digits that change when anything does that decides which rows are made.

        Args:
            beside: what else decides it than these settings, by name.
        """
        decides = [self.model_dump(mode="json", exclude=set(self.bounds())), beside]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]

    @classmethod
    def bounds(cls) -> dict[str, Any]:
        """Settings that bound memory (`BOUND`), as they are if nobody sets them."""
        fields = cls.model_fields.items()
        return {name: field.get_default() for name, field in fields if BOUND in field.metadata}

    def lineage(self, **beside: str | int) -> dict[str, Any]:
        """What a partition that is made by these settings keeps of them; `beside`: see above."""
        return {"settings": self.digest(), DECIDED_BY: self.decided_by(**beside)}


CENTURY = 36_500
"""Days that a setting may count back or ahead, at most: the calendar has an end."""
LARGEST_SEED = 2**53
"""What is multiplied by a thousand, or read by JSON, is a number still."""
_TOGETHER = "together"
_PARTS = re.compile(r"""(?<!\w)(?:"(?:\\.|[^"\\])*"|'[^']*')|.""", re.DOTALL)
"""Quoted texts, and characters (a quote within a word is one)."""


def incompatible(sentence: LiteralString) -> PydanticCustomError:
    """What a validator raises of settings that do not go together; told as it stands."""
    return PydanticCustomError(_TOGETHER, sentence)


C = TypeVar("C", bound=Config)
V = TypeVar("V")
WHOLE = "whole"
"""Marks a table that is given whole (shares of a whole): no default fills it up."""
DECIDED_BY = "decided_by"
"""Key of a lineage."""
BOUND = "bound"
"""Marks a setting that bounds memory: rows are the same whatever it says, if not their files."""
UNTOLD = "untold"
"""Marks a setting that may hold a login: no error and no record says what was given for it."""


class _Spelt(int):
    """A whole number of `--set`, which knows how it was written: a text of digits is one, too."""

    text: str

    @classmethod
    def of(cls, value: int, text: str) -> "_Spelt":
        """A number that TOML read in a text."""
        spelt = cls(value)
        spelt.text = text
        return spelt


Secret = Annotated[
    str, UNTOLD, BeforeValidator(lambda given: given.text if isinstance(given, _Spelt) else given)
]
"""A text that may hold a login; of digits alone it may be given without quotes."""


def load_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Raises:
        ConfigError: the file is missing or is not TOML; the message names file and line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors may write a mark
    except FileNotFoundError:
        raise ConfigError(f"{path.absolute()} does not exist. Check the path.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8, as TOML has to be. Save it as UTF-8.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Check the path.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}. Mend that line.") from None


def preset(name: str) -> dict[str, Any]:
    """The differences that preset `name` (of `infra/presets`, or a path to a TOML) states."""
    if name.endswith(".toml"):
        return load_toml(Path(name))
    folder = Path(str(resources.files("infra"))) / "presets"
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise ConfigError(
            f"preset {name!r} does not exist. "
            f"Choose one of {', '.join(known)}, or give a .toml file."
        )
    return load_toml(folder / f"{name}.toml")


def build(kind: type[C], *layers: Mapping[str, Any], over: C | None = None) -> C:
    """`kind` with later layers over earlier ones, over the defaults.

    A table that is a setting itself (`gate.floors`) keeps the entries that a layer does not name;
    an empty one empties it.

    Args:
        kind: of settings.
        layers: settings by name, nested.
        over: settings to start from instead of the defaults.

    Raises:
        ConfigError: an unknown key (with the nearest known one) or a value out of range.
    """
    merged = _tables(kind) if over is None else over.model_dump()
    tables = frozenset(_table_names(kind))
    for layer in layers:
        merged = merge(merged, layer, tables)
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(_explain(kind, error)) from None


def merge(
    base: Mapping[str, Any],
    over: Mapping[str, Any],
    tables: Collection[str] = (),
    prefix: str = "",
) -> dict[str, Any]:
    """Deep merge; `over` wins, tables merge key by key; of `tables`, an empty one wins whole."""
    out = dict(base)
    for key, value in over.items():
        mine, name = out.get(key), f"{prefix}{key}"
        if (
            isinstance(mine, Mapping)
            and isinstance(value, Mapping)
            and (value or name not in tables)
        ):
            out[key] = merge(mine, value, tables, f"{name}.")
        else:
            out[key] = value
    return out


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, names joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _tables(kind: type[BaseModel]) -> dict[str, Any]:
    """The default entries of settings that are tables, nested; none of those that stay `WHOLE`."""
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            usual: Any = _tables(field.annotation)
        else:
            usual = (
                None if WHOLE in field.metadata else field.get_default(call_default_factory=True)
            )
        if isinstance(usual, Mapping) and usual:
            found[name] = dict(usual)
    return found


def _table_names(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of the settings that are tables themselves."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _table_names(field.annotation, f"{prefix}{name}.")
        elif get_origin(field.annotation) is dict:
            yield f"{prefix}{name}"


def each(pairs: Sequence[str], source: str = "--set") -> list[dict[str, Any]]:
    """`overrides` of every pair by itself: a layer each, so that `build` takes them in turn."""
    return [overrides([pair], source) for pair in pairs]


def overrides(pairs: Sequence[str], source: str = "--set") -> dict[str, Any]:
    """`["watch.max_auc_drop=0.01"]` as nested tables; values are read as TOML, else as text.

    Args:
        pairs: spaces around name and value count for nothing.
        source: where they were written, for the error.
    """
    out: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = (part.strip() for part in pair.partition("="))
        if not separator or not key:
            raise ConfigError(
                f"{source} {pair} is not of the form a.b=value. Write it like seed=7."
            )
        try:
            value = tomllib.loads(f"x = {text}")["x"]
            if type(value) is int:
                value = _Spelt.of(value, text)
        except tomllib.TOMLDecodeError:
            value = text
        for part in reversed(key.split(".")):
            value = {part: value}
        out = merge(out, value)
    return out


def apart(text: str) -> list[str]:
    """Pairs that stand in one text; a comma in brackets, braces or quotes does not part them."""
    pairs, depth = [""], 0
    for part in _PARTS.findall(text):
        depth += (part in ("[", "{")) - (part in ("]", "}"))
        if part == "," and depth <= 0:
            pairs.append("")
        else:
            pairs[-1] += part
    return [pair.strip() for pair in pairs if pair.strip()]


def known_keys(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted setting name below `kind`."""
    for name, field in kind.model_fields.items():
        yield prefix + name
        inner = field.annotation
        candidates = [inner, *get_args(inner)]
        for candidate in candidates:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                yield from known_keys(candidate, f"{prefix}{name}.")


def nearest(key: str, known: Sequence[str]) -> str:
    """The known name that is most like `key`: one of its section, initials or a part included."""
    section, _, last = key.rpartition(".")
    names = {name.rpartition(".")[2]: name for name in known if name.rpartition(".")[0] == section}
    for name, whole in names.items():
        if last == "".join(word[0] for word in name.split("_")):  # lr: learning_rate
            return whole
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    beside = difflib.get_close_matches(last, list(names), n=1, cutoff=0.5)
    return names[beside[0]] if beside else (near[0] if near else "")


def named(given: dict[str, V], known: Sequence[str], kind: str) -> dict[str, V]:
    """A table as it was given, for a validator: a name that is none of `known` raises."""
    for name in given:
        if name not in known:
            near = nearest(name, known) or ", ".join(known)
            raise ValueError(f"{name} is not {kind}; did you mean {near}?")
    return given


def once(given: tuple[V, ...]) -> tuple[V, ...]:
    """A list as it was given, for a validator: what stands there twice raises."""
    for value in given:
        if given.count(value) > 1:
            raise ValueError(f"{value} stands there twice; name it once")
    return given


def told(settings: Config) -> dict[str, Any]:
    """Settings as JSON has them, for records: without `UNTOLD` ones and logins in addresses."""
    return _told(type(settings), settings.model_dump(mode="json"))


def _told(kind: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if UNTOLD in field.metadata:
            continue
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found[name] = _told(inner, values[name])
        else:
            found[name] = _bare(values[name])
    return found


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _bare(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_bare(one) for one in value]
    return bare(value) if isinstance(value, str) else value


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = nearest(key, list(known_keys(kind)))
        hint = f"Did you mean {near}?" if near else "See docs/settings.md for the names."
        return f"{key} is not a setting. {hint}"
    if first["type"] == _TOGETHER:
        return f"{first['msg']}."
    if _may_be_secret(kind, first["loc"]):
        return (
            f"{key} is refused: {first['msg']}. What was given is not told, since it may be a "
            "login. Give another value; a text goes in quotes."
        )
    return f"{key} = {first.get('input')!r} is refused: {first['msg']}. Give another value."


def _may_be_secret(kind: type[BaseModel], names: Sequence[int | str]) -> bool:
    """Whether a setting is a `UNTOLD`, or a section that has one."""
    if not names:
        return any(_may_be_secret(kind, [name]) for name in kind.model_fields)
    field = kind.model_fields.get(str(names[0]))
    if field is None:
        return False
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return _may_be_secret(field.annotation, names[1:])
    return UNTOLD in field.metadata
