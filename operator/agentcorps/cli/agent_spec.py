"""Options that describe an agent and its pod, shared by `pool create` and `agent create`."""

import shlex
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import typer

from agentcorps.cli.errors import InputError
from agentcorps.cli.manifests import labels_from

CONTAINER = "agent"


class PullPolicy(StrEnum):
    """When the kubelet pulls the image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """What an agent can do, and the pod that it runs in."""

    image: Annotated[
        str | None, typer.Option("--image", metavar="IMAGE", help="Image of the agent.")
    ] = None
    capabilities: Annotated[
        list[str],
        typer.Option("--capability", metavar="NAME", help="What the agent can do; repeatable."),
    ] = field(default_factory=list)
    slots: Annotated[
        int | None, typer.Option("--slots", help="Tasks that the agent works on at a time.")
    ] = None
    command: Annotated[
        str | None,
        typer.Option(
            "--command",
            metavar="COMMAND",
            help="Command of the container, split as a shell would; by default the image's.",
        ),
    ] = None
    env: Annotated[
        list[str],
        typer.Option("--env", metavar="KEY=VALUE", help="Environment variable; repeatable."),
    ] = field(default_factory=list)
    cpu: Annotated[
        str | None,
        typer.Option("--cpu", metavar="QUANTITY", help="CPU request and limit, such as 100m."),
    ] = None
    memory: Annotated[
        str | None,
        typer.Option("--memory", metavar="QUANTITY", help="Memory request and limit: 128Mi."),
    ] = None
    pull_policy: Annotated[
        PullPolicy | None, typer.Option("--image-pull-policy", help="When to pull the image.")
    ] = None

    def given(self) -> bool:
        """Tell whether any of them was used."""
        return any(getattr(self, name) for name in self.__slots__)

    def spec(self) -> dict[str, Any]:
        """Return the spec of an Agent.

        Raises:
            InputError: There is no image, or a value cannot be read.
        """
        if not self.image:
            raise InputError(
                "--image is missing: name the image of the agent, or a manifest with -f"
            )
        spec: dict[str, Any] = {}
        if self.capabilities:
            spec["capabilities"] = self.capabilities
        if self.slots is not None:
            spec["slots"] = self.slots
        return {**spec, "podTemplate": {"spec": {"containers": [self._container()]}}}

    def _container(self) -> dict[str, Any]:
        resources = {
            name: value for name, value in (("cpu", self.cpu), ("memory", self.memory)) if value
        }
        fields = {
            "name": CONTAINER,
            "image": self.image,
            "imagePullPolicy": self.pull_policy.value if self.pull_policy else None,
            "command": self._words(),
            "env": [
                {"name": name, "value": value}
                for name, value in labels_from(self.env, "--env").items()
            ],
            "resources": {"requests": resources, "limits": resources} if resources else None,
        }
        return {name: value for name, value in fields.items() if value}

    def _words(self) -> list[str]:
        try:
            return shlex.split(self.command or "")
        except ValueError as error:
            raise InputError(f"--command: {str(error).lower()}") from error
