"""Options that several commands share, and the decorator that spreads them over a command."""

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

import typer


class Format(StrEnum):
    """Output formats."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class DryRun(StrEnum):
    """Who looks at an object that shall not be stored."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Connection:
    """Which cluster, which namespace, and as whom."""

    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace", "-n", metavar="NAME", help="Namespace; by default the context's."
        ),
    ] = None
    context: Annotated[
        str | None, typer.Option("--context", metavar="NAME", help="Context of the kubeconfig.")
    ] = None
    kubeconfig: Annotated[
        str | None,
        typer.Option(
            "--kubeconfig",
            envvar="KUBECONFIG",
            metavar="FILE",
            help="Kubeconfig file; by default ~/.kube/config.",
        ),
    ] = None
    as_user: Annotated[
        str | None, typer.Option("--as", metavar="USER", help="User to impersonate.")
    ] = None
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colours; NO_COLOR does the same.")
    ] = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a listing shows."""

    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Objects of all namespaces.")
    ] = False
    selector: Annotated[
        str | None,
        typer.Option(
            "--selector", "-l", metavar="LABELS", help="Label selector, such as a=b,c!=d."
        ),
    ] = None
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Print each change, until interrupted.")
    ] = False


@dataclass(frozen=True, slots=True)
class Printing:
    """How objects are printed."""

    output: Annotated[Format, typer.Option("--output", "-o", help="Output format.")] = Format.TABLE


@dataclass(frozen=True, slots=True)
class Creation:
    """How objects are created."""

    dry_run: Annotated[
        DryRun,
        typer.Option(
            "--dry-run", help="Create nothing: only check here (client) or on the API server too."
        ),
    ] = DryRun.NONE


@dataclass(frozen=True, slots=True)
class Waiting:
    """Whether to wait for the results."""

    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for the end, and print results instead of names."),
    ] = False
    timeout: Annotated[
        str | None,
        typer.Option(
            "--timeout", metavar="TIME", help="Longest time of --wait, such as 90s or 5m."
        ),
    ] = None


OperatorNamespace = Annotated[
    str, typer.Option("--operator-namespace", metavar="NAME", help="Where the operator runs.")
]
ManifestFile = Annotated[
    str | None,
    typer.Option(
        "--filename", "-f", metavar="FILE", help="Manifest in YAML, JSON or JSONL; - is stdin."
    ),
]


ResultTo = Annotated[
    str | None,
    typer.Option(
        "--result-to",
        metavar="SECRET",
        help="Name of a Secret that is created for the one Task's result, which then is not in the"
        " Task.",
    ),
]


def command(app: typer.Typer, name: str, *, epilog: str | None = None) -> Callable[..., Any]:
    """Register a function as the command `name`.

    A parameter whose type is one of the dataclasses above becomes one option per field.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        # \b keeps click from re-flowing the examples.
        examples = None if epilog is None else f"\b\nExamples:\n{epilog}"
        app.command(name, epilog=examples)(_spread(function))
        return function

    return register


def _spread(function: Callable[..., None]) -> Callable[..., None]:
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            groups[parameter.name] = hint
            parameters.extend(_options(hint))
        else:
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)
            )

    def call(**values: Any) -> None:
        grouped = {
            name: group(
                **{entry.name: values.pop(entry.name) for entry in dataclasses.fields(group)}
            )
            for name, group in groups.items()
        }
        function(**values, **grouped)

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {entry.name: entry.annotation for entry in parameters}
    return call


def _options(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            entry.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=entry.default
            if entry.default_factory is dataclasses.MISSING
            else entry.default_factory(),
            annotation=hints[entry.name],
        )
        for entry in dataclasses.fields(group)
    ]
