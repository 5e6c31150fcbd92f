"""What the nouns have in common: listing, and creating from manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from agentcorps.cli.connection import connect
from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import Document, read_documents
from agentcorps.cli.manifests import check, whole_object
from agentcorps.cli.options import DryRun, Format
from agentcorps.cli.output import Column, age, bare_name, emit, full_name, note, print_objects
from agentcorps.cli.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentcorps.api.kinds import Kind
    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object
    from agentcorps.cli.options import Connection, Creation, Printing, Selection

NAMESPACE = Column("NAMESPACE", lambda item: item["metadata"]["namespace"])
NAME = Column("NAME", lambda item: item["metadata"]["name"])
AGE = Column("AGE", lambda item: age(item["metadata"].get("creationTimestamp")))


def get(
    kind: Kind,
    names: Sequence[str],
    columns: Sequence[Column],
    *,
    connection: Connection,
    selection: Selection,
    printing: Printing,
    fields: dict[str, str | None] | None = None,
) -> None:
    """Print the named objects, or those that the selection lets through.

    Args:
        kind: Kind of the objects.
        names: Their names; none lists them.
        columns: Columns of the table between NAME and AGE.
        connection: Where.
        selection: Which, when no names are given.
        printing: How.
        fields: Field selectors of a listing; entries without a value do not restrict it.
    """
    restricting = {path: value for path, value in (fields or {}).items() if value is not None}
    if names and (selection.all_namespaces or selection.selector or restricting):
        raise InputError("give names or a selection (-A, -l ...), not both")
    if selection.watch and len(names) > 1:
        raise InputError("--watch fits one name, or a selection")
    head = (NAMESPACE, NAME) if selection.all_namespaces else (NAME,)
    shown = (*head, *columns, AGE)
    with connect(connection) as cluster:
        if selection.watch:
            if names:
                item = cluster.get(kind, bare_name(names[0]))
                restricting = {"metadata.name": item["metadata"]["name"]}
            _watch(cluster, kind, shown, selection, printing, restricting)
        if names:
            found = [cluster.get(kind, bare_name(name)) for name in names]
        else:
            found = _listed(cluster, kind, selection, restricting)
            if not found and printing.output in {Format.TABLE, Format.WIDE}:
                where = "" if selection.all_namespaces else f" in namespace {cluster.namespace}"
                note(f"no {kind.plural} found{where}")
                return
    print_objects(
        found, printing.output, shown, color=not connection.no_color, single=len(names) == 1
    )


def _listed(
    cluster: Cluster, kind: Kind, selection: Selection, fields: dict[str, str]
) -> list[Object]:
    """Return what a selection lets through; refuse a namespace that does not exist."""
    namespace = None if selection.all_namespaces else cluster.namespace
    found = cluster.list_all(
        kind, namespace, labelSelector=selection.selector, fieldSelector=_query(fields)
    )
    if not found and namespace is not None:
        cluster.check_namespace()
    return found


def _watch(
    cluster: Cluster,
    kind: Kind,
    columns: Sequence[Column],
    selection: Selection,
    printing: Printing,
    fields: dict[str, str],
) -> NoReturn:
    """Print what a selection lets through, again whenever it changes."""
    namespace = None if selection.all_namespaces else cluster.namespace
    Watcher(cluster, kind, namespace, printing.output).run(
        columns, labelSelector=selection.selector, fieldSelector=_query(fields)
    )


def _query(fields: dict[str, str]) -> str | None:
    return ",".join(f"{path}={value}" for path, value in fields.items()) or None


def documents_of(kind: Kind, path: str) -> list[Document]:
    """Return the objects of a manifest file, all of one kind."""
    return [
        Document(whole_object(kind, document), document.place) for document in read_documents(path)
    ]


def create(
    kind: Kind,
    documents: Sequence[Document],
    *,
    connection: Connection,
    printing: Printing,
    creation: Creation,
) -> None:
    """Create objects after all of them were checked, and print what was created."""
    with connect(connection) as cluster:
        for document in documents:
            check(kind, document, cluster.namespace)
        for document in documents:
            created = create_one(cluster, kind, document, creation.dry_run)
            report(created, "created", printing, creation)


def create_one(cluster: Cluster, kind: Kind, document: Document, dry_run: DryRun) -> Object:
    """Create an object; with a dry run on the client, only say what would be sent."""
    if dry_run is DryRun.CLIENT:
        metadata = document.value["metadata"] | {"namespace": cluster.namespace}
        return document.value | {"metadata": metadata}
    return cluster.create(kind, document.value, dry_run=dry_run is DryRun.SERVER)


def report(created: Object, verb: str, printing: Printing, creation: Creation) -> None:
    """Print one created object: a line such as kubectl's, or the object."""
    if printing.output in {Format.TABLE, Format.WIDE}:
        metadata = created["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}*"
        dry = {DryRun.CLIENT: " (dry run)", DryRun.SERVER: " (server dry run)"}
        shown = full_name({**created, "metadata": {"name": name}})
        emit(f"{shown} {verb}{dry.get(creation.dry_run, '')}")
        return
    print_objects([created], printing.output, (), color=False, single=True)
