"""The ResourceQuotas of the namespaces in which pools live, as `agentcorps status` shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentcorps.cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentcorps.cli.cluster import Cluster
    from agentcorps.cli.model import Object


def gather(cluster: Cluster, namespace: str | None, pools: Iterable[Object]) -> list[Object]:
    """Read the quotas and return a row for each resource; none for who may not read them."""
    within = f"/namespaces/{namespace}" if namespace else ""
    try:
        found = cluster.read(f"/api/v1{within}/resourcequotas").get("items", [])
    except CliError:
        return []
    shared = {pool["metadata"]["namespace"] for pool in pools}
    return rows(quota for quota in found if quota["metadata"]["namespace"] in shared)


def rows(quotas: Iterable[Object]) -> list[Object]:
    """Return a row for each resource of some quotas."""
    found = []
    for quota in quotas:
        status = quota.get("status", {})
        used = status.get("used", {})
        for resource, hard in sorted(status.get("hard", {}).items()):
            found.append(
                {
                    "namespace": quota["metadata"]["namespace"],
                    "quota": quota["metadata"]["name"],
                    "resource": resource,
                    "used": used.get(resource, "0"),
                    "hard": hard,
                }
            )
    return found
