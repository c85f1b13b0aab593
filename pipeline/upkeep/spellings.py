"""How files spell a text: as JSON escapes it, and in encodings other than ours."""

import json
import re

_BY_NUMBER = re.compile(r"(?<!\\)(?:\\\\)*\\u[0-9a-f]{4}")


def written(text: str) -> set[str]:
    """As it is, and as JSON may write it: other letters as they are or by number, slashes too."""
    ascii_alone, letters = json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
    capitals = _BY_NUMBER.sub(lambda found: found[0][:-4] + found[0][-4:].upper(), ascii_alone)
    escaped = {ascii_alone, letters, capitals}
    return {text, *escaped, *(one.replace("/", r"\/") for one in escaped)}


def encoded(text: str, encoding: str) -> bytes:
    """Nothing where the encoding has no such letter: its files cannot say it."""
    try:
        return text.encode(encoding).removeprefix("".encode(encoding))
    except UnicodeEncodeError:
        return b""
