"""The command line: results on standard output, progress and errors on standard error."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cluster import console, images, lifecycle, providers, tools
from cluster.errors import ClusterError
from cluster.home import Home
from cluster.local import Local

_FAILED = 1
_NOT_RUNNING = 3
_INTERRUPTED = 130


def main(argv: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The exit code: 0, 1 for an error that was printed as one line, 2 for wrong usage, 3 if
        ``status`` finds no healthy cluster, 130 when interrupted.
    """
    options = parser().parse_args(argv)
    try:
        code = _COMMANDS[options.command](options, Home.current())
        sys.stdout.flush()
    except ClusterError as error:
        console.say(f"cluster: {error}")
        return _FAILED
    except BrokenPipeError:  # a reader such as `head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except KeyboardInterrupt:
        console.say("cluster: interrupted; the same command again cleans up and starts over")
        return _INTERRUPTED
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="hack/cluster", description="Local Kubernetes clusters for development and tests."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--provider",
        choices=providers.NAMES,
        help="where the cluster comes from (default: $CLUSTER; else kind if it works, else local)",
    )
    common.add_argument("--name", default="agentcorps", help="the cluster (default: %(default)s)")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text, parents=[common])

    tool = add("tools", "Build the programs once, and print their folder.")
    tool.add_argument(
        "--with", dest="extra", action="append", default=[], choices=["kwok", "prometheus"]
    )
    up = add("up", "Start the cluster unless it runs, and print its kubeconfig.")
    up.add_argument(
        "--control-plane-only",
        action="store_true",
        help="on free ports of loopback, without a node: no pods run; always local, needs no root",
    )
    up.add_argument("--kwok", type=_count, default=0, metavar="N", help="add N simulated nodes")
    down = add("down", "End the cluster and remove every trace of it.")
    down.add_argument("--all", action="store_true", help="end all local clusters")
    add("status", "Print what runs; exit code 3 if there is no healthy cluster.")
    add("env", "Print shell lines that make kubectl and helm use the cluster.")
    nodes = add("kwok", "Add simulated nodes for scale tests.")
    nodes.add_argument("count", nargs="?", type=_count, default=10, metavar="N")
    load = add("load", "Load images that were built here, or archives, into the cluster.")
    load.add_argument("images", nargs="+", metavar="NAME:TAG|FILE.tar")
    add("base-image", "Make the base image for builds without docker, and print its name.")
    _add_build(add("build-image", "Build an image, and print its archive."))
    return top


def _add_build(build: argparse.ArgumentParser) -> None:
    build.add_argument("image", metavar="NAME:TAG")
    build.add_argument(
        "--context", type=Path, default=Path(), metavar="DIR", help="default: the current folder"
    )
    build.add_argument("--file", type=Path, help="default: Containerfile in the context")
    build.add_argument("--target", default="", help="the stage to build (default: the last)")
    build.add_argument(
        "--build-arg", action="append", default=[], type=_assignment, metavar="KEY=VALUE"
    )


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 10_000:  # noqa: PLR2004 -- more than one machine can watch
        raise argparse.ArgumentTypeError("from 1 to 10000")
    return number


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _provider(options: argparse.Namespace, home: Home) -> providers.Provider:
    wanted = options.provider or os.environ.get("CLUSTER", "")
    return providers.choose(home, wanted, options.name)


def _tools(options: argparse.Namespace, home: Home) -> int:
    folder = _provider(options, home).prepare()
    if options.extra:
        folder = tools.ensure(home, options.extra)
    if folder is not None:
        print(folder)
    return 0


def _up(options: argparse.Namespace, home: Home) -> int:
    if options.control_plane_only:
        layout = lifecycle.layout_of(home, options.name)
        lifecycle.up(home, layout, "control-plane")
        provider: providers.Provider = Local(home, options.name)
        kubeconfig: Path | None = layout.kubeconfig
    else:
        provider = _provider(options, home)
        kubeconfig = provider.up()
    if options.kwok:
        provider.add_nodes(options.kwok)
    if kubeconfig is not None:
        print(kubeconfig)
    return 0


def _down(options: argparse.Namespace, home: Home) -> int:
    if options.all:
        for name in lifecycle.names(home):
            Local(home, name).down()
        return 0
    # A control plane is local whatever CLUSTER says, and so is its end.
    mine = lifecycle.layout_of(home, options.name).read_state() is not None
    provider = Local(home, options.name) if mine else _provider(options, home)
    provider.down()
    return 0


def _status(options: argparse.Namespace, home: Home) -> int:
    return 0 if _provider(options, home).status() else _NOT_RUNNING


def _env(options: argparse.Namespace, home: Home) -> int:
    lines = providers.exports(_provider(options, home).environment())
    if lines:
        print(lines)
    return 0


def _kwok(options: argparse.Namespace, home: Home) -> int:
    _provider(options, home).add_nodes(options.count)
    return 0


def _load(options: argparse.Namespace, home: Home) -> int:
    provider = _provider(options, home)
    for image in options.images:
        archive = Path(image) if image.endswith(".tar") else images.archive_of(home, image)
        if not archive.is_file():
            raise ClusterError(f"{image}: {archive} does not exist; build it with 'build-image'")
        provider.load(archive.resolve())
    return 0


def _base_image(_: argparse.Namespace, home: Home) -> int:
    print(images.base_image(home))
    return 0


def _build_image(options: argparse.Namespace, home: Home) -> int:
    request = images.Request(
        options.image,
        options.file or options.context / "Containerfile",
        options.context,
        options.target,
        dict(options.build_arg),
    )
    print(images.build(home, request))
    return 0


_COMMANDS: Mapping[str, Callable[[argparse.Namespace, Home], int]] = {
    "tools": _tools,
    "up": _up,
    "down": _down,
    "status": _status,
    "env": _env,
    "kwok": _kwok,
    "load": _load,
    "base-image": _base_image,
    "build-image": _build_image,
}
