"""Takes the schema of a pod template out of the OpenAPI document of Kubernetes.

Run by hand when the Kubernetes version changes, with Go installed:

    .venv/bin/python hack/generate/vendor.py v1.37.2
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("podtemplate.json")
ROOT = "io.k8s.api.core.v1.PodTemplateSpec"
# Descriptions alone are three quarters of the text; the rest says nothing to a CRD.
DROPPED = frozenset(
    {
        "description",
        "x-kubernetes-patch-strategy",
        "x-kubernetes-patch-merge-key",
        "x-kubernetes-unions",
    }
)


def openapi(version: str) -> dict[str, Any]:
    """Return the schemas of core/v1 of a Kubernetes version, by name."""
    answer = subprocess.run(
        ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"],
        check=True,
        capture_output=True,
    )
    folder = Path(json.loads(answer.stdout)["Dir"])
    document = json.loads((folder / "api/openapi-spec/v3/api__v1_openapi.json").read_text())
    schemas: dict[str, Any] = document["components"]["schemas"]
    return schemas


def inlined(schema: Any, schemas: dict[str, Any]) -> Any:
    """Return a schema with its references resolved and what a CRD has no use for left out."""
    if isinstance(schema, list):
        return [inlined(entry, schemas) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref") or next((part["$ref"] for part in schema.get("allOf", ())), None)
    if reference is not None:
        beside = {key: value for key, value in schema.items() if key not in {"allOf", "$ref"}}
        return inlined({**schemas[reference.rpartition("/")[2]], **beside}, schemas)
    return {
        key: {name: inlined(field, schemas) for name, field in value.items()}
        if key == "properties"
        else inlined(value, schemas)
        for key, value in schema.items()
        if key not in DROPPED
    }


def main(version: str) -> None:
    """Write the vendored schema."""
    template = inlined({"$ref": f"#/{ROOT}"}, openapi(version))
    content = {"kubernetesVersion": version, "schema": template}
    TARGET.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    print(f"{TARGET.name}: pod template of Kubernetes {version}")


if __name__ == "__main__":
    main(sys.argv[1])
