"""Rights of a user who is nobody in particular."""

from support.kubectl import Kubectl

USER = "alice"
AS_USER = f"--as={USER}"
"""Option of kubectl."""


def grant(
    kubectl: Kubectl,
    rights: dict[str, dict[str, list[str]]],
    *,
    name: str = "more",
    names: tuple[str, ...] = (),
) -> None:
    """Allow the user verbs on resources of API groups, perhaps only on objects of some names."""
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": verbs, "resourceNames": [*names]}
        for group, resources in rights.items()
        for resource, verbs in resources.items()
    ]
    api = "rbac.authorization.k8s.io/v1"
    role = {"apiVersion": api, "kind": "Role", "metadata": {"name": name}, "rules": rules}
    binding = {
        "apiVersion": api,
        "kind": "RoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }
    applied = kubectl.send("apply", role, binding)
    assert applied.ok, applied.stderr
