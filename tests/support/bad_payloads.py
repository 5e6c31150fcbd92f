"""Mistakes with the Secrets and ConfigMaps of Tasks, and the API server's words for them."""

from collections.abc import Iterator

from support import objects
from support.bad_input import BadInput

_ONE_SOURCE = "must have exactly one of secretKeyRef and configMapKeyRef"
_NAME = (
    "must be the name of an object: lower-case letters, digits, '-' and '.', beginning and ending"
    " with a letter or digit"
)


def payloads() -> Iterator[BadInput]:
    """Places of inputs that cannot be."""
    source = {"name": "mail", "key": "input.json"}
    yield BadInput(
        "input and inputFrom both",
        "CEL",
        objects.task(input={"text": "a"}, inputFrom={"secretKeyRef": source}),
        ("spec.inputFrom: Invalid value: must not be set beside input: give one of the two",),
    )
    yield BadInput(
        "inputFrom with two sources",
        "CEL",
        objects.task(inputFrom={"secretKeyRef": source, "configMapKeyRef": source}),
        (f"spec.inputFrom: Invalid value: {_ONE_SOURCE}",),
    )
    yield BadInput(
        "Secret of another namespace",
        "CEL",
        objects.task(inputFrom={"secretKeyRef": source | {"name": "other/mail"}}),
        (f'spec.inputFrom.secretKeyRef.name: Invalid value: "other/mail": {_NAME}',),
    )
