"""`agentcorps task submit`: from arguments, files or stdin to Tasks, and with --wait to results."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from agentcorps.cli.connection import connect
from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import Document, parse_object, read_documents
from agentcorps.cli.manifests import TaskSettings, task_from_input, task_from_manifest
from agentcorps.cli.names import pool_option
from agentcorps.cli.options import Connection, Creation, Printing, ResultTo, Waiting, command
from agentcorps.cli.payloads import check_result_to, input_reference
from agentcorps.cli.submission import Sending, send

EPILOG = """  agentcorps task submit --pool summarizers --input '{"text": "..."}' --wait
  agentcorps task submit --pool summarizers --input-file inputs.jsonl
  agentcorps task submit -f task.yaml --name report-2026-11
  agentcorps task submit --pool summarizers --input-from secret/mail:input.json --result-to answer
  generate | agentcorps task submit --pool summarizers --input-file -"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the Tasks come from."""

    input: Annotated[
        str | None,
        typer.Option("--input", metavar="JSON", help="Input of one Task: a JSON object."),
    ] = None
    input_file: Annotated[
        str | None,
        typer.Option(
            "--input-file",
            metavar="FILE",
            help="File of inputs: each JSON object (JSONL: each line) makes one Task; - is stdin.",
        ),
    ] = None
    input_from: Annotated[
        str | None,
        typer.Option(
            "--input-from",
            metavar="KIND/NAME:KEY",
            help="Key of a Secret or ConfigMap that holds the input of one Task, as in"
            " secret/mail:input.json. Only its name stands in the Task.",
        ),
    ] = None
    filename: Annotated[
        str | None,
        typer.Option(
            "--filename",
            "-f",
            metavar="FILE",
            help="File of Tasks in YAML, JSON or JSONL: each document is a whole Task or (without"
            " `kind`) its spec; - is stdin.",
        ),
    ] = None

    def documents(self, settings: TaskSettings) -> list[Document]:
        """Return the Tasks that they and the settings make.

        Raises:
            InputError: None or several sources, or one that cannot be read.
        """
        sources = (self.input, self.input_file, self.input_from, self.filename)
        given = [text for text in sources if text is not None]
        if len(given) != 1:
            raise InputError("give exactly one of --input, --input-file, --input-from and -f")
        if settings.name is not None and settings.generate_name is not None:
            raise InputError("give --name or --generate-name, not both")
        if self.filename is not None:
            tasks = [task_from_manifest(each, settings) for each in read_documents(self.filename)]
        elif self.input_file is not None:
            tasks = [task_from_input(each, settings) for each in read_documents(self.input_file)]
        elif self.input_from is not None:
            spec = {"inputFrom": input_reference(self.input_from)}
            tasks = [task_from_manifest(Document(spec, "--input-from"), settings)]
        else:
            tasks = [
                task_from_input(Document(parse_object(given[0], "--input"), "--input"), settings)
            ]
        if settings.name is not None and len(tasks) > 1:
            raise InputError(f"--name fits one Task, not {len(tasks)}: use --generate-name")
        check_result_to(settings.result_to, len(tasks))
        return tasks


@dataclass(frozen=True, slots=True)
class Fields:
    """What the Tasks are; an option goes before what a file says."""

    pool: Annotated[str | None, pool_option("Pool whose agents do the work.")] = None
    agent_selector: Annotated[
        list[str],
        typer.Option(
            "--agent-selector",
            metavar="KEY=VALUE",
            help="Instead of a pool: label that the agents must have; repeatable.",
        ),
    ] = field(default_factory=list)
    affinity_key: Annotated[
        str | None,
        typer.Option(
            "--affinity-key",
            metavar="KEY",
            help="Prefer the agent that served this key last, such as a session's id.",
        ),
    ] = None
    requires: Annotated[
        list[str],
        typer.Option(
            "--requires", metavar="CAPABILITY", help="Capability that the agent needs; repeatable."
        ),
    ] = field(default_factory=list)
    priority: Annotated[
        int | None, typer.Option("--priority", help="-1000 to 1000, higher goes first.")
    ] = None
    queue_timeout_seconds: Annotated[
        int | None,
        typer.Option("--queue-timeout-seconds", help="Seconds that it may wait for an agent."),
    ] = None
    timeout_seconds: Annotated[
        int | None, typer.Option("--timeout-seconds", help="Seconds that one attempt may run.")
    ] = None
    retry_limit: Annotated[
        int | None, typer.Option("--retry-limit", help="Failures after which it is tried again.")
    ] = None
    ttl: Annotated[
        int | None, typer.Option("--ttl", help="Seconds after its end when a Task is deleted.")
    ] = None
    result_to: ResultTo = None
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Name of the one Task. Repeating the command with the same spec changes nothing.",
        ),
    ] = None
    generate_name: Annotated[
        str | None,
        typer.Option(
            "--generate-name",
            metavar="PREFIX",
            help="Prefix of made-up names; by default the pool's.",
        ),
    ] = None
    labels: Annotated[
        list[str], typer.Option("--label", metavar="KEY=VALUE", help="Label; repeatable.")
    ] = field(default_factory=list)

    def settings(self) -> TaskSettings:
        """Return them as the manifests need them."""
        return TaskSettings(
            pool=self.pool,
            agent_selector=tuple(self.agent_selector),
            affinity_key=self.affinity_key,
            requires=tuple(self.requires),
            priority=self.priority,
            queue_timeout_seconds=self.queue_timeout_seconds,
            timeout_seconds=self.timeout_seconds,
            retry_limit=self.retry_limit,
            ttl_seconds=self.ttl,
            result_to=self.result_to,
            name=self.name,
            generate_name=self.generate_name,
            labels=tuple(self.labels),
        )


def register(app: typer.Typer) -> None:
    """Add the command to its noun."""
    command(app, "submit", epilog=EPILOG)(submit)


def submit(
    *,
    source: Source,
    task: Fields,
    waiting: Waiting,
    creation: Creation,
    connection: Connection,
    printing: Printing,
) -> None:
    """Create Tasks, and with --wait print their results.

    All of them are read and checked before the first is sent. With --wait one Task's result is
    printed as JSON, several Tasks' as one line each: {"name", "phase", "result"}.
    """
    sending = Sending.of(waiting, creation, printing, connection)
    documents = source.documents(task.settings())
    with connect(connection) as cluster:
        send(cluster, documents, sending)
