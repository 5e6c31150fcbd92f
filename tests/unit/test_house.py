"""The house rules that no linter knows: sizes, promises of the documents, contents of the locks."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MODULE_LINES = 400
SOURCES = sorted(
    path for top in ("operator", "hack", "tests") for path in (ROOT / top).rglob("*.py")
)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LOCKS = sorted(
    [*(ROOT / "requirements").glob("*.lock"), *ROOT.glob("examples/*/requirements.lock")]
)
CODE_BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def name(path: Path) -> str:
    """Return the path below the project folder, as a test's name."""
    return str(path.relative_to(ROOT))


def make_targets() -> dict[str, str]:
    """Return each target of the Makefile that has a help text, with that text."""
    makefile = (ROOT / "Makefile").read_text()
    return dict(re.findall(r"^([a-z][a-z0-9-]*):.*?## (.+)$", makefile, re.MULTILINE))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_modules_stay_small(path: Path) -> None:
    """A module has at most 400 lines."""
    assert len(path.read_text().splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_documented_make_commands_exist(path: Path) -> None:
    """Every make command in a code block or code span of a document is a target."""
    text = path.read_text()
    code = [*CODE_BLOCK.findall(text), *re.findall(r"`([^`\n]+)`", text)]
    named = {target for block in code for target in re.findall(r"\bmake ([a-z][a-z0-9-]*)", block)}
    assert named <= set(make_targets())


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    """A relative link in a document names a file or folder that exists."""
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_phony_target_is_explained() -> None:
    """`make help` lists every target that the Makefile declares phony."""
    declared = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {target for line in declared for target in line.split()} == set(make_targets())


@pytest.mark.parametrize("path", LOCKS, ids=name)
def test_locks_hold_hashes_and_name_no_host(path: Path) -> None:
    """A lock pins every package with a hash and holds no address or index option."""
    text = path.read_text()
    assert "://" not in text
    assert not re.search(r"^--?\w", text, re.MULTILINE)
    pins = re.findall(r"^[a-z0-9][^\n]*==[^\n]*$", text, re.MULTILINE)
    assert pins
    assert [pin for pin in pins if not pin.endswith("\\")] == []


def test_images_carry_what_the_tests_ran_on() -> None:
    """Every version in the images' locks is the version in the development lock."""
    pin = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)
    tested = dict(pin.findall((ROOT / "requirements/dev.lock").read_text()))
    for lock in LOCKS:
        assert dict(pin.findall(lock.read_text())).items() <= tested.items(), name(lock)


def test_the_agent_image_carries_no_cluster_client() -> None:
    """The bare install, which every agent carries, has no Kubernetes client and no kopf."""
    lock = (ROOT / "requirements/agent.lock").read_text()
    assert not re.search(r"^(kubernetes|kopf|cryptography)==", lock, re.MULTILINE)
