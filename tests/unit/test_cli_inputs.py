"""What users hand in is read fully, or refused in one line that does not quote it."""

import io
from pathlib import Path
from typing import Any

import pytest

from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import MAX_FILE_BYTES, parse_object, read_documents

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{letter}: &{letter} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, letter in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGE_BOMB = "a: &a {k: v}\n" + "".join(
    f"{letter}: &{letter} {{<<: [{', '.join([f'*{before}'] * 20)}]}}\n"
    for before, letter in zip("abcdef", "bcdefg", strict=True)
)
SECRET = "hunter2"
NO_CONSTRUCTOR = (
    "could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'"
)

REFUSED = {
    "yaml bomb": (BOMB, "document 1: has more than 200000 values once its aliases are written out"),
    "merge bomb": (
        MERGE_BOMB,
        "document 1: has more than 200000 values once its aliases are written out",
    ),
    "alias to itself": ("a: &a [*a]", "document 1: an alias refers to the object around it"),
    "typo in the second document": (
        f"pool: s\n---\npool: s\n  input: {SECRET}",
        "document 2: line 4 is not YAML: mapping values are not allowed here",
    ),
    "duplicate key": (
        f"a: {SECRET}\na: 2",
        "document 1: line 1: an object has the same key twice",
    ),
    "unknown tag": (
        f"a: !!python/object:os.system {SECRET}",
        f"document 1: line 1 is not YAML: {NO_CONSTRUCTOR}",
    ),
    "deep YAML": ("[" * 1 + "\n" + "- " * 5000, "line 2 column 1: is not JSON: Expecting value"),
    "deep flow YAML": ("a: " + "[" * 600, "document 1: is nested too deeply"),
    "YAML list": (f"- {SECRET}", "document 1: must be an object, not a list"),
    "plain text": (SECRET, "document 1: must be an object, not a single value"),
    "control character": ("a: \x07", "document 1: is not YAML: control character inside"),
    "JSON list": (f'["{SECRET}"]', "line 1: must be an object, not a list"),
    "broken JSON": (
        f'{{"a": 1}}\n{{"b": {SECRET}}}',
        "line 2 column 7: is not JSON: Expecting value",
    ),
    "JSON with a key twice": (
        '{"a": 1}\n{"b": 1, "b": 2}',
        "line 2: an object has the same key twice",
    ),
    "NaN": ('{"a": NaN}', "line 1: NaN is not a JSON value"),
    "deep JSON": ('{"a":' + "[" * 200_000, "line 1: is nested too deeply"),
    "empty": ("\n\n", "is empty"),
    "only a comment": ("# nothing\n", "is empty"),
}
REFUSED_BYTES = {
    "binary": (b"\x7fELF\x02\x01\x01\x00\x00", "is a binary file: give YAML, JSON or JSONL"),
    "byte order mark": (
        b"\xef\xbb\xbfpool: s",
        "starts with a byte order mark: save it as plain UTF-8",
    ),
    "UTF-16": ("pool: s".encode("utf-16"), "is UTF-16 or UTF-32: save it as UTF-8"),
    "UTF-16 BE": (b"\xfe\xff\x00p", "is UTF-16: save it as UTF-8"),
    "Latin-1": (b"pool: caf\xe9", "is not UTF-8 (byte 10): save it as UTF-8"),
}
READ: dict[str, tuple[str, list[Any]]] = {
    "JSONL": ('{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
    "indented JSON": ('{\n "a": 1\n}\n{\n "a": 2\n}', [{"a": 1}, {"a": 2}]),
    "YAML documents": ("a: 1\n---\na: 2\n---\n", [{"a": 1}, {"a": 2}]),
    "a date stays a string": ("a: 2026-11-23", [{"a": "2026-11-23"}]),
    "a small alias": ("a: &x [1]\nb: *x", [{"a": [1], "b": [1]}]),
    "a merge": ("a: &x {k: 1}\nb: {<<: *x, l: 2}", [{"a": {"k": 1}, "b": {"k": 1, "l": 2}}]),
}


def refusal(path: Path) -> str:
    """Return the one-line error for a file, without its name."""
    with pytest.raises(InputError) as caught:
        read_documents(str(path))
    text = str(caught.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    assert SECRET not in text
    return text.removeprefix(str(path)).removeprefix(":").strip()


@pytest.mark.parametrize(("text", "expected"), REFUSED.values(), ids=REFUSED)
def test_bad_text_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    """A file that cannot be used is refused with its place and its flaw, not with its content."""
    file = tmp_path / "in"
    file.write_text(text)
    assert refusal(file) == expected


@pytest.mark.parametrize(("data", "expected"), REFUSED_BYTES.values(), ids=REFUSED_BYTES)
def test_bad_bytes_are_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    """A file that is not plain UTF-8 text is refused with the way out."""
    file = tmp_path / "in"
    file.write_bytes(data)
    assert refusal(file) == expected


@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_good_text_is_read(tmp_path: Path, text: str, expected: list[Any]) -> None:
    """Each object of a file becomes one document, whatever the file's name."""
    file = tmp_path / "in"
    file.write_text(text)
    assert [document.value for document in read_documents(str(file))] == expected


def test_places_name_file_and_line(tmp_path: Path) -> None:
    """A document knows the line on which it starts, so that later errors can name it."""
    file = tmp_path / "tasks.jsonl"
    file.write_text('{"a": 1}\n\n{"a": 2}\n')
    assert [document.place for document in read_documents(str(file))] == [
        f"{file} line 1",
        f"{file} line 3",
    ]


def test_missing_file_and_folder(tmp_path: Path) -> None:
    """A path without a file behind it is refused in the words of the system."""
    assert refusal(tmp_path / "none") == "no such file or directory"
    assert refusal(tmp_path) == "is a directory"


def test_huge_file_is_not_read_into_memory(tmp_path: Path) -> None:
    """A file over the limit is refused after the limit, not read to its end."""
    file = tmp_path / "huge"
    with file.open("wb") as sparse:
        sparse.truncate(MAX_FILE_BYTES * 100)
    assert refusal(file) == "has more than 64 MiB: split it"


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash reads stdin, and errors call it so."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}')))
    assert read_documents("-")[0].place == "stdin line 1"


@pytest.mark.parametrize("text", ["", "1", '{"a": 1} {"b": 2}', "[]", "{'a': 1}"])
def test_an_argument_must_be_one_object(text: str) -> None:
    """An input on the command line is exactly one JSON object."""
    with pytest.raises(InputError, match=r"^--input"):
        parse_object(text, "--input")
