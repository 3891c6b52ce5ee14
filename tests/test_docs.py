"""Every command of the README and the documentation runs, and what they list is what there is.

A code block with a title is a file of the reader's. A shell block or a table is run as it is written, with
what HTML comments right above it say:
`<!-- test: skip (why) -->`, `<!-- test: replace "a" with "b" -->` (small settings for the same verb) and
`<!-- test: "command" may exit N -->`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from PIL import Image

from benchmarks.loopback import Loopback, missing_reason
from hwtickets.cli.main import app
from hwtickets.cli.main import run as run_hwtickets
from hwtickets.config import SearchConfig

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests" / "data" / "fashion-mnist"
PROGRAMS = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SIZES = {"stem_channels": 8, "stages": [[16, 1, 1], [16, 1, 2]], "expand_ratio": 2, "kernel_sizes": [3, 5]}
SPACE = {"supernet": {"sizes": SIZES}}
IMPORTED = {
    "once-for-all-note10-224.yaml": "224_lookup_table.yaml",
    "trtexec-10.layers.json": "layers.json",
    "trtexec-10.profile.json": "times.json",
    "tvm-0.2.log": "tuned.log",
}
SHORT = {
    **SPACE,
    **{"epochs": 0.2, "shrinks": 2, "baseline": False, "max_draws": 2, "tolerance": 0.3, "latency": "70%"},
}


@dataclass
class Block:
    """Commands that belong together, and how the test may change them."""

    commands: list[str]
    notes: list[str] = field(default_factory=list)

    def run(self, folder: Path, done: set[str]) -> None:
        """Runs the commands, but for verbs that did the same on an earlier page.

        Verbs alone run in this process, for every other one would import torch again; a block with other
        programs in it runs in bash.
        """
        if any(note.startswith("skip") for note in self.notes):
            return
        commands = [command for command in map(self._replaced, self.commands) if command not in done]
        verbs = [command for command in commands if command.startswith("hwtickets ")]
        done.update(verbs)
        if verbs != commands:
            run_in(folder, "\n".join(["set -e", *map(self._tolerated, commands)]))
            return
        for command in verbs:
            run_here(folder, command, self._allowed(command))

    def _replaced(self, command: str) -> str:
        for note in self.notes:
            pair = re.fullmatch(r'replace "(.*?)" with "(.*)"', note)
            if pair:
                command = command.replace(*pair.groups())
        return command

    def _tolerated(self, command: str) -> str:
        return f"{command} || [ $? = {self._allowed(command)} ]"

    def _allowed(self, command: str) -> int:
        """The exit code that a command may end with besides 0; 0 where there is none."""
        found = [re.fullmatch(r'"(.*)" may exit (\d+)', note) for note in self.notes]
        return next((int(note[2]) for note in found if note and command.startswith(note[1])), 0)


def blocks(page: Path) -> Iterator[Block]:
    """The shell blocks of a page, and each table whose cells hold commands as one block."""
    notes: list[str] = []
    body: list[str] | None = None
    rows: list[str] = []
    for line in [*page.read_text(encoding="utf-8").splitlines(), ""]:
        text = line.strip()
        if body is not None:
            if text == "```":
                yield Block([entry for entry in body if entry], notes)
                body, notes = None, []
            else:
                body.append(text)
        elif text.startswith("|"):
            rows += re.findall(r"\| `(hwtickets [^`]*)` \|$", text)
        elif text == "```sh":
            body = []
        elif found := re.fullmatch(r"<!-- test: (.*) -->", text):
            notes.append(found[1])
        elif rows:
            yield Block(rows, notes)
            rows, notes = [], []
        elif text:
            notes = []


def shown_files(page: Path) -> list[tuple[str, str]]:
    """Name and text of the files that a page shows: code blocks with a title."""
    shown = r'^```\w+ title="([^"]+)"\n(.*?)^```$'
    return re.findall(shown, page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The host orin.local is this machine, if it has an ssh server."""
    if missing_reason():
        yield
        return
    with Loopback(tmp_path_factory.mktemp("ssh")) as loopback:
        loopback.add("orin.local")
        yield


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, board: None) -> Path:
    """A folder with what a reader has: a finished demo, photos, the original files of a data set."""
    folder = tmp_path_factory.mktemp("docs")
    for name, values in {"space": SPACE, "demo": SHORT, "tiny": {**SHORT, "batch_size": 8}}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(values))
    for page in PAGES:
        for name, text in shown_files(page):
            (folder / name).write_text(text)
    shutil.copytree(SAMPLE, folder / "fashion-mnist")
    for sample, name in IMPORTED.items():
        shutil.copy(ROOT / "tests" / "data" / "importers" / sample, folder / name)
    for part, count in (("train", 12), ("val", 4)):
        for label, name in enumerate(("cat", "dog")):
            (folder / "photos" / part / name).mkdir(parents=True)
            for index in range(count):
                color = (40 + 150 * label, 10 * index, 90)
                Image.new("RGB", (40, 48), color).save(folder / "photos" / part / name / f"{index}.png")
    Image.new("L", (40, 48), 128).save(folder / "photo.jpg")
    run_here(folder, "hwtickets search --config demo.yaml --output-dir runs/demo", 3)
    return folder


@pytest.fixture(scope="module")
def done() -> set[str]:
    """Commands that need not run again."""
    return {"hwtickets search --config demo.yaml --output-dir runs/demo"}


def run_in(folder: Path, script: str) -> None:
    """Runs a script in bash with this Python's programs; its output is in the error if it fails."""
    environment = {**os.environ, "PATH": PROGRAMS, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def run_here(folder: Path, command: str, allowed: int) -> None:
    """Runs a verb as its console script does; what it prints is in pytest's report if it fails."""
    words = shlex.split(command.replace("$PYTHON", sys.executable))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code = run_hwtickets(words[1:])
    assert code in (0, allowed), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_runs(page: Path, workplace: Path, done: set[str]) -> None:
    if page.name == "board.md" and (reason := missing_reason()):
        pytest.skip(reason)
    for block in blocks(page):
        block.run(workplace, done)


def test_the_commands_are_found() -> None:
    found = [command for page in PAGES for block in blocks(page) for command in block.commands]
    assert {"hwtickets demo", "hwtickets draw runs/demo --latency 25%", "cd bundle"} <= set(found)


def test_commands_that_are_skipped_name_options_that_there_are() -> None:
    commands = [command for page in PAGES for block in blocks(page) for command in block.commands]
    for verb, known in ((verb, _options(command)) for verb, command in _verbs().items()):
        own = [command for command in commands if command.startswith(f"hwtickets {verb} ")]
        assert {option for command in own for option in re.findall(r" (--[\w-]+)", command)} <= {*known}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page}: {target}"
        assert not anchor or anchor in _anchors(linked), f"{page}: {target}"


def test_every_page_is_in_the_navigation() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]}
    assert set(re.findall(r"[\w/-]+\.md", str(navigation))) == pages


def test_the_readme_lists_every_verb() -> None:
    listed = re.findall(r"^\| `([a-z ]+)` \|", PAGES[0].read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(_verbs())


def test_the_benchmarks_of_the_readme_exist() -> None:
    modules = re.findall(r"`python -m ([\w.]+)", PAGES[0].read_text(encoding="utf-8"))
    assert modules
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_the_reference_lists_every_option_of_every_verb() -> None:
    listed = {verb: re.findall(r"`(--[\w-]+)", part) for verb, part in _sections().items()}
    assert listed == {verb: _options(command) for verb, command in _verbs().items()}


def test_the_reference_says_what_help_says() -> None:
    for verb, command in _verbs().items():
        section = _sections()[verb]
        assert command.help.strip() in section
        shown = dict(re.findall(r"^\| `(--[\w-]+)[^|]*\| (.*) \|$", section, re.MULTILINE))
        helps = {option: text for parameter in command.params for option, text in _help(parameter)}
        assert {option: text for option, text in helps.items() if not shown[option].startswith(text)} == {}


def test_the_reference_lists_every_key_with_its_default() -> None:
    text = (ROOT / "docs" / "reference" / "configuration.md").read_text(encoding="utf-8")
    keys = text.partition("## Supernet sizes")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (\S*?) ?\|", keys, re.MULTILINE))
    defaults = SearchConfig(budgets={"latency": "40%"}).model_dump()
    shown = {key: _in_yaml(value) for key, value in defaults.items()}
    shown |= {"supernet": defaults["supernet"]["name"]}
    assert listed == {**{key: f"`{value}`" for key, value in shown.items()}, "budgets": ""}


def _in_yaml(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _verbs() -> dict[str, Any]:
    commands: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        parts = getattr(command, "commands", None)
        commands |= {f"{name} {part}": entry for part, entry in parts.items()} if parts else {name: command}
    return commands


def _sections() -> dict[str, str]:
    """The parts of the reference of the command line, by verb."""
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^## ([a-z ]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))


def _help(parameter: Any) -> list[tuple[str, str]]:
    """An option with its help, to which the reference may add the default; nothing of an argument."""
    is_option = parameter.param_type_name == "option" and parameter.name != "help"
    return [(parameter.opts[0], parameter.help.rstrip("."))] if is_option else []


def _options(command: Any) -> list[str]:
    given = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    names = [name for parameter in given for name in (*parameter.opts, *parameter.secondary_opts)]
    return [name for name in names if name not in ("--help", "-h")]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
