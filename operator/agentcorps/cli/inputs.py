"""Reading what users hand in: YAML, JSON and JSONL documents, bounded and checked before use.

Errors name the file and the place in it, and never quote its content.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import yaml

from agentcorps.cli.errors import InputError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_YAML_BYTES: Final = 4 * 1024 * 1024
MAX_YAML_NODES: Final = 200_000
"""Nodes of a YAML document after its aliases are written out; a YAML bomb has billions."""

_BYTE_ORDER_MARKS: Final = (
    (b"\xef\xbb\xbf", "starts with a byte order mark: save it as plain UTF-8"),
    (b"\xff\xfe", "is UTF-16 or UTF-32: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16: save it as UTF-8"),
    (b"\x00\x00\xfe\xff", "is UTF-32: save it as UTF-8"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON object, and where it stands."""

    value: dict[str, Any]
    place: str
    """File and place in it, such as ``tasks.yaml document 2``."""

    def refuse(self, what: str) -> NoReturn:
        """Raise InputError about this document."""
        raise InputError(f"{self.place}: {what}")


def read_documents(path: str) -> list[Document]:
    """Read the JSON objects of a file; ``-`` is stdin.

    A file whose first character is a brace or bracket is JSON: one object, or several one after the
    other (JSONL). Everything else is YAML.

    Raises:
        InputError: Not a file, not UTF-8, too large, no valid YAML or JSON, no object at all.
    """
    name = "stdin" if path == "-" else path
    text = _decode(_read(path, name), name)
    is_json = text.lstrip()[:1] in {"{", "["}
    documents = list(_json_documents(text, name) if is_json else _yaml_documents(text, name))
    if not documents:
        raise InputError(f"{name}: is empty")
    return documents


def parse_object(text: str, place: str) -> dict[str, Any]:
    """Return the one JSON object in `text`; `place` is what the error calls it.

    Raises:
        InputError: It is not exactly one JSON object.
    """
    documents = list(_json_documents(text, place))
    if len(documents) != 1:
        raise InputError(f"{place}: must be one JSON object")
    return documents[0].value


def _read(path: str, name: str) -> bytes:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{name}: {(error.strerror or 'cannot be read').lower()}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{name}: has more than {MAX_FILE_BYTES >> 20} MiB: split it")
    return data


def _decode(data: bytes, name: str) -> str:
    for mark, problem in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            raise InputError(f"{name}: {problem}")
    if b"\0" in data:
        raise InputError(f"{name}: is a binary file: give YAML, JSON or JSONL")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: is not UTF-8 (byte {error.start + 1}): save it as UTF-8"
        ) from error


def _json_documents(text: str, name: str) -> Iterator[Document]:
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
    position, line, counted = 0, 1, 0
    while True:
        while position < len(text) and text[position].isspace():
            position += 1
        if position == len(text):
            return
        line += text.count("\n", counted, position)
        counted = position
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno} column {error.colno}"
            raise InputError(f"{name} {where}: is not JSON: {error.msg}") from error
        except RecursionError as error:
            raise InputError(f"{name} line {line}: is nested too deeply") from error
        except _Flaw as flaw:
            raise InputError(f"{name} line {line}: {flaw}") from flaw
        yield _document(value, f"{name} line {line}")


def _yaml_documents(text: str, name: str) -> Iterator[Document]:
    if len(text) > MAX_YAML_BYTES:
        raise InputError(f"{name}: has more than {MAX_YAML_BYTES >> 20} MiB of YAML: use JSONL")
    place = f"{name} document 1"
    try:
        loader = _Loader(text)
        number = 0
        while loader.check_node():
            place = f"{name} document {number + 1}"
            node = loader.get_node()
            _check_node(node)
            value = loader.construct_document(node)
            if value is not None:  # `---` at the end of a file opens an empty document
                yield _document(value, place)
            number += 1
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = one_line(error.problem or "cannot be parsed")
        raise InputError(f"{place}: line {line} is not YAML: {problem}") from error
    except yaml.reader.ReaderError as error:
        raise InputError(f"{place}: is not YAML: control character inside") from error
    except RecursionError as error:
        raise InputError(f"{place}: is nested too deeply") from error
    except _Flaw as flaw:
        raise InputError(f"{place}: {flaw}") from flaw


def _document(value: Any, place: str) -> Document:
    if not isinstance(value, dict):
        found = "a list" if isinstance(value, list) else "a single value"
        raise InputError(f"{place}: must be an object, not {found}")
    return Document(value, place)


class _Flaw(ValueError):
    """What is wrong with a document, in words."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise _Flaw("an object has the same key twice")
    return result


def _no_constant(name: str) -> NoReturn:
    raise _Flaw(f"{name} is not a JSON value")


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes reads it: a date is a string, not a point in time."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own class attribute)
        first: [
            (tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"
        ]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _check_node(root: yaml.Node | None) -> None:
    """Refuse what would explode, loop or lose data when it is constructed."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise _Flaw("an alias refers to the object around it")
        open_nodes.add(id(node))
        total = 1 + sum(size(child) for child in _children(node))
        open_nodes.discard(id(node))
        if total > MAX_YAML_NODES:
            raise _Flaw(f"has more than {MAX_YAML_NODES} values once its aliases are written out")
        sizes[id(node)] = total
        return total

    if root is not None:
        size(root)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key.value, Hashable)]
        plain = [key for key in keys if key != "<<"]
        if len(set(plain)) < len(plain):
            raise _Flaw(f"line {node.start_mark.line + 1}: an object has the same key twice")
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
