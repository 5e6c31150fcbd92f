"""What `agentcorps simulate` is told: pools and quotas of manifests, their Tasks, and nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from agentcorps.api.kinds import AGENT_POOL
from agentcorps.api.scaling_policy import PolicyType
from agentcorps.cli.errors import InputError
from agentcorps.cli.inputs import Document, read_documents
from agentcorps.cli.manifests import check, whole_object
from agentcorps.core.amounts import amount
from agentcorps.core.fields import Malformed
from agentcorps.core.quota_record import QuotaRecord, quota_record
from agentcorps.core.records import Key
from agentcorps.core.simulation.deciders import decider_of
from agentcorps.core.simulation.plan import Machines, Plan
from agentcorps.core.wire import pool_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agentcorps.api.scaling import Scaling
    from agentcorps.cli.simulated_tasks import Traffic
    from agentcorps.core.records import PoolRecord

QUOTA: Final = "--quota"
NODE: Final = "--node"
MOST_NODES: Final = 10_000
NAMESPACE: Final = "default"
"""Of what names none."""
KNOWN_POLICIES: Final = frozenset({PolicyType.TASKS, PolicyType.SCHEDULE})
"""The others ask for agents by metrics of the world outside."""
_STAMPS: Final = {"resourceVersion": "1", "creationTimestamp": "1970-01-01T00:00:00Z"}


def read(paths: Iterable[str]) -> tuple[list[PoolRecord], list[QuotaRecord], list[str]]:
    """Read the AgentPools and ResourceQuotas of manifests.

    Returns:
        The pools, the quotas, and what people should know about them.

    Raises:
        InputError: There is something else, or no pool, or one that the API server would refuse.
    """
    pools: dict[Key, PoolRecord] = {}
    quotas: list[QuotaRecord] = []
    notes: list[str] = []
    for document in (one for path in paths for one in _items(read_documents(path))):
        if document.value.get("kind") == "ResourceQuota":
            quotas.append(_quota(document, len(quotas)))
            continue
        pool, told = _pool(document)
        if pool.key in pools:
            document.refuse(f"there is a second AgentPool {pool.key.name}")
        pools[pool.key] = pool
        notes += told
    if not pools:
        raise InputError("there is no AgentPool in what -f names")
    names = [pool.key.name for pool in pools.values()]
    if len(set(names)) < len(names):
        raise InputError("two AgentPools of different namespaces have one name: rename one")
    return list(pools.values()), quotas, notes


def _items(documents: Iterable[Document]) -> Iterable[Document]:
    """Yield the documents, and the items of a List instead of it."""
    for document in documents:
        items = document.value.get("items")
        if document.value.get("kind") == "List" and isinstance(items, list):
            for number, item in enumerate(items, 1):
                place = f"{document.place} item {number}"
                if not isinstance(item, dict):
                    raise InputError(f"{place}: must be an object")
                yield Document(item, place)
        else:
            yield document


def _pool(document: Document) -> tuple[PoolRecord, list[str]]:
    whole = Document(whole_object(AGENT_POOL, document), document.place)
    namespace = whole.value["metadata"].get("namespace", NAMESPACE)
    check(AGENT_POOL, whole, namespace)
    try:
        pool = pool_record(_stamped(whole.value, "pool"))
    except Malformed as error:
        document.refuse(str(error))
    if pool.invalid:
        document.refuse(pool.invalid)
    if pool.scaling is None:
        return pool, [f"{document.place}: has no spec.scaling, so it has {pool.replicas} agents"]
    scaling, left_out = _without_metrics(pool.scaling)
    notes = [
        f"{document.place}: {one} is left out: its metric is not known here" for one in left_out
    ]
    if not scaling.policies:
        document.refuse("each policy asks by a metric that is not known here: nothing decides")
    return replace(pool, scaling=scaling), notes


def _without_metrics(scaling: Scaling) -> tuple[Scaling, list[str]]:
    """Return the autoscaler without the policies that nobody here can answer, and which."""
    left_out = [
        f"spec.scaling.policies[{number}] ({policy.type.value})"
        for number, policy in enumerate(scaling.policies)
        if policy.type not in KNOWN_POLICIES
    ]
    known = tuple(policy for policy in scaling.policies if policy.type in KNOWN_POLICIES)
    return scaling.model_copy(update={"policies": known}), left_out


def _quota(document: Document, number: int) -> QuotaRecord:
    value = document.value
    if value.get("apiVersion") != "v1":
        document.refuse("must be a v1 ResourceQuota")
    # What the spec says counts: `kubectl get -o yaml` also tells what was used back then.
    plain = {field: value.get(field) for field in ("metadata", "spec")}
    try:
        return quota_record(_stamped(plain, f"quota-{number}"))
    except Malformed as error:
        document.refuse(str(error))


def _stamped(value: Mapping[str, Any], uid: str) -> dict[str, Any]:
    """Return an object with the metadata that the API server would give it."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        raise Malformed("metadata", "must be an object")
    return {
        **value,
        "metadata": {"namespace": NAMESPACE, "name": uid, **metadata, "uid": uid, **_STAMPS},
    }


def overridden(
    quotas: Iterable[QuotaRecord], text: str, pools: Iterable[PoolRecord]
) -> list[QuotaRecord]:
    """Return the quotas with other numbers for some resources.

    Args:
        quotas: Those of manifests.
        text: ``RESOURCE=QUANTITY,...``. What no quota has becomes one of its own in each namespace.
        pools: Whose namespaces count.

    Raises:
        InputError: The text is something else.
    """
    wanted = quantities(text, QUOTA)
    changed = [
        replace(quota, hard={**quota.hard, **{n: v for n, v in wanted.items() if n in quota.hard}})
        for quota in quotas
    ]
    added = []
    for namespace in sorted({pool.key.namespace for pool in pools}):
        known = {n for quota in changed if quota.key.namespace == namespace for n in quota.hard}
        hard = {name: value for name, value in wanted.items() if name not in known}
        if hard:
            key = Key(namespace, "simulated")
            added.append(QuotaRecord(f"{namespace}/simulated", key, 1, hard, {}))
    return [*changed, *added]


def unused(quotas: Iterable[QuotaRecord], text: str, pools: Iterable[PoolRecord]) -> list[str]:
    """Return those resources of ``--quota`` that no pod of the pools takes anything of."""
    taken = {
        name
        for pool in pools
        for quota in quotas
        if quota.key.namespace == pool.key.namespace
        for name, cost in quota.costs(pool.charge).items()
        if cost
    }
    return sorted(quantities(text, QUOTA).keys() - taken)


def quantities(text: str, option: str) -> dict[str, int]:
    """Read ``RESOURCE=QUANTITY,...`` as amounts in billionths.

    Raises:
        InputError: It is something else.
    """
    form = f"{option} must be RESOURCE=QUANTITY,..., such as cpu=40,memory=64Gi"
    found = {}
    for part in text.split(","):
        name, equals, quantity = part.partition("=")
        name = name.strip()
        if not (name and equals):
            raise InputError(form)
        if name in found:
            raise InputError(f"{form}: {name} is given twice")
        try:
            found[name] = amount(quantity.strip())
        except ValueError as error:
            raise InputError(f"{form}: {name} {error}") from None
        if found[name] < 0:
            raise InputError(f"{form}: {name} must be at least 0")
    return found


def plans(
    pools: Sequence[PoolRecord], traffic: Traffic, start_seconds: float, stop_seconds: float
) -> list[Plan]:
    """Return what is simulated.

    Raises:
        InputError: Something of the Tasks cannot be used.
    """
    traffic.check(pool.key.name for pool in pools)
    return [
        Plan(
            pool,
            decider_of(pool),
            traffic.jobs(pool.key.name, number),
            start_seconds,
            stop_seconds,
        )
        for number, pool in enumerate(pools)
    ]


def machines(
    capacity: str, nodes: int, most: int, start: float, pools: Iterable[PoolRecord]
) -> Machines:
    """Return the nodes.

    Raises:
        InputError: A number makes no sense, or a pod of some pool fits on no node.
    """
    if not 0 <= nodes <= most <= MOST_NODES:
        raise InputError(
            f"--nodes must lie between 0 and --max-nodes ({most}), and that below {MOST_NODES + 1}"
        )
    found = Machines(quantities(capacity, NODE), nodes, most, start)
    for pool in pools:
        for name, size in pool.charge.amounts:
            if size > found.capacity.get(name, size):
                raise InputError(
                    f"{NODE} {capacity}: a pod of AgentPool {pool.key.name} takes more {name} than"
                    " a node has, so it would never start: raise that"
                )
    return found
