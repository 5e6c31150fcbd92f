"""Names and limits that the API promises: what a name may look like and how large things may be."""

from __future__ import annotations

import json
import re
from typing import Any, Final

MAX_INPUT_BYTES: Final = 64 * 1024
"""Bytes that `spec.input` of a Task may take as compact JSON."""
MAX_RESULT_BYTES: Final = 64 * 1024
"""Bytes that an inline `status.result` of a Task may take as compact JSON."""
MAX_MESSAGE_LENGTH: Final = 1024
"""Characters of a `message` in a status; `clip_message` cuts to it."""

DEFAULT_AGING_SECONDS: Final = 60.0
DEFAULT_MIN_RUNTIME_SECONDS: Final = 60.0
DEFAULT_UNSCHEDULABLE_SECONDS: Final = 300.0
"""Seconds of waiting that are worth one step of a Task's priority, unless the operator is set
otherwise."""

MAX_LABEL_LENGTH: Final = 63
MAX_ID_LENGTH: Final = 128
"""Characters of a reason, a UID, an instance or a digest in a status."""
MAX_NAME_LENGTH: Final = 253
MAX_REPLICAS: Final = 10_000
MAX_POOL_NAME_LENGTH: Final = 57
"""Agents are called `<pool>-<number>`: 63 minus the hyphen and five digits. Five digits hold
MAX_REPLICAS agents and 89,999 terminating ones beside them."""

DNS_LABEL_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
LABEL_KEY_PATTERN: Final = (
    r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE_PATTERN: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
CAPABILITY_PATTERN: Final = r"^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$"
REASON_PATTERN: Final = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"

_DNS_LABEL = re.compile(DNS_LABEL_PATTERN)
_DNS_SUBDOMAIN = re.compile(DNS_SUBDOMAIN_PATTERN)
_CAPABILITY = re.compile(CAPABILITY_PATTERN)


def is_dns_label(name: str) -> bool:
    """Tell whether `name` is a DNS-1123 label: the form of the names of Agents and pods."""
    return len(name) <= MAX_LABEL_LENGTH and _DNS_LABEL.fullmatch(name) is not None


def is_dns_subdomain(name: str) -> bool:
    """Tell whether `name` is a DNS-1123 subdomain: what a Task may be called."""
    return len(name) <= MAX_NAME_LENGTH and _DNS_SUBDOMAIN.fullmatch(name) is not None


def is_pool_name(name: str) -> bool:
    """Tell whether `name` fits an AgentPool: a DNS label that leaves room for `-<number>`."""
    return len(name) <= MAX_POOL_NAME_LENGTH and is_dns_label(name)


def is_capability(name: str) -> bool:
    """Tell whether `name` is a capability: up to 63 letters, digits, and `-_./` inside."""
    return len(name) <= MAX_LABEL_LENGTH and _CAPABILITY.fullmatch(name) is not None


def agent_name(pool: str, number: int) -> str:
    """Return the name of a pool's agent, which is the name of its pod too."""
    return f"{pool}-{number}"


def agent_number(pool: str, name: str) -> int | None:
    """Return the number in the name of a pool's agent; None when the name is not of that form."""
    prefix, _, digits = name.rpartition("-")
    if prefix != pool or not (digits.isascii() and digits.isdigit()):
        return None
    number = int(digits)
    return number if agent_name(pool, number) == name else None


def clip_message(message: str) -> str:
    """Return `message` within MAX_MESSAGE_LENGTH characters, its end replaced by an ellipsis."""
    if len(message) <= MAX_MESSAGE_LENGTH:
        return message
    return message[: MAX_MESSAGE_LENGTH - 1] + "…"


def encoded_size(value: Any) -> int:
    """Return the bytes of `value` as compact UTF-8 JSON: the measure of every payload limit.

    Raises:
        TypeError: The value is not JSON.
        ValueError: The value contains itself, or a number that JSON lacks (NaN, infinity).
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return len(text.encode(errors="surrogatepass"))
