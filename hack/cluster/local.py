"""The cluster that runs on this machine as plain processes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import console, images, kwok, lifecycle, tools
from cluster.errors import ClusterError
from cluster.home import Home
from cluster.node import load_image


@dataclass(frozen=True)
class Local:
    """A cluster that runs on this machine as plain processes.

    Attributes:
        home: where tools and clusters are.
        name: its name.
    """

    home: Home
    name: str

    def prepare(self) -> Path | None:
        """Build the programs."""
        return tools.ensure(self.home, tools.EVERYDAY)

    def up(self) -> Path | None:
        """Start a cluster with a node."""
        layout = lifecycle.layout_of(self.home, self.name)
        lifecycle.up(self.home, layout, "node")
        return layout.kubeconfig

    def down(self) -> None:
        """End it, whatever is left of it."""
        ended = lifecycle.down(self.home, lifecycle.layout_of(self.home, self.name))
        console.say(f"Cluster {self.name} {'is gone' if ended else 'does not run'}.")

    def status(self) -> bool:
        """Print a line for each component."""
        layout = lifecycle.layout_of(self.home, self.name)
        health = lifecycle.inspect(layout)
        if health.state is None:
            print(f"Cluster {self.name} does not run. Start it with: make cluster-up")
            return False
        print(f"Cluster {self.name} (local) at {health.state.server}")
        for component in health.state.daemons:
            identity = layout.daemon(component).identity()
            runs = identity is not None and identity.alive()
            said = f"running, pid {identity.pid}" if identity and runs else "not running"
            print(f"  {component:24} {said}")
        if not health.dead:
            print(f"  {'API server ready':24} {'yes' if health.answers else 'no'}")
        if not health.dead and health.state.mode == "node":
            print(f"  {f'node {self.name} ready':24} {'yes' if health.node else 'no'}")
        print(f"  kubeconfig               {layout.kubeconfig}")
        print(f"  logs                     {layout.folder / 'logs'}")
        print('To use it: eval "$(make env)"' if health.good else "To repair it: make cluster-up")
        return health.good

    def load(self, archive: Path) -> None:
        """Import an image, unless the node has exactly this one."""
        layout = lifecycle.layout_of(self.home, self.name)
        record = layout.folder / "loaded.json"
        if not (layout.folder / "complete").exists():
            raise ClusterError(f"cluster {self.name} is not up; start it with 'up'")
        loaded = json.loads(record.read_text()) if record.exists() else {}
        identity = images.id_of(archive)
        if identity and loaded.get(str(archive)) == identity:
            console.say(f"{archive.stem} is loaded.")
            return
        with console.step(f"Loading {archive.name}"):
            load_image(layout, archive)
        record.write_text(json.dumps({**loaded, str(archive): identity}))

    def add_nodes(self, count: int) -> None:
        """Add nodes simulated by kwok."""
        kwok.add_nodes(self.home, lifecycle.layout_of(self.home, self.name), count)

    def environment(self) -> Mapping[str, str]:
        """Return the cluster's kubeconfig and the folder of its programs."""
        layout = lifecycle.layout_of(self.home, self.name)
        return {"KUBECONFIG": str(layout.kubeconfig), "PATH": str(layout.bin)}
