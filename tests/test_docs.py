"""What the pages tell people to type must exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from beampipe.cli.main import cli
from beampipe.clusters.site_files import WORDS
from beampipe.settings import KEYS

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [
    PROJECT / "README.md",
    PROJECT / "CONTRIBUTING.md",
    *sorted((PROJECT / "docs").rglob("*.md")),
]


def find_commands(page: Path) -> list[str]:
    """The lines that begin with a prompt in fenced console blocks."""
    blocks = re.findall(
        r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [line.removeprefix("$ ") for line in "".join(blocks).splitlines() if line[:2] == "$ "]


COMMANDS = sorted({command for page in PAGES for command in find_commands(page)})


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("beampipe ")])
def test_a_beampipe_command_parses(line):
    command: click.Command = cli
    words = shlex.split(line, comments=True)[1:]
    context = click.Context(cli, info_name="beampipe")
    if words[0] not in {"--help", "--version"}:
        found = cli.get_command(context, words[0])
        assert found is not None, f"beampipe has no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    while isinstance(command, click.Group) and command is not cli and words[0][:1] != "-":
        found = command.get_command(context, words[0])
        assert found is not None, f"{command.name} has no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, parent=context, info_name=command.name)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    assert not rest, f"{rest} is too much"


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_a_make_target_exists(line):
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    for target in shlex.split(line, comments=True)[1:]:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)


def test_readme_tells_the_two_first_commands():
    assert {"make demo", "make env"} <= set(find_commands(PROJECT / "README.md"))


def test_every_command_has_a_line_of_help():
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help, f"beampipe {name} has no help"


def test_the_settings_page_lists_every_key():
    page = (PROJECT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` ", page, re.MULTILINE) == list(KEYS)


def test_the_page_of_site_profiles_lists_every_key():
    page = (PROJECT / "docs/reference/site-profiles.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` ", page, re.MULTILINE) == list(WORDS.keys)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_between_files_lead_somewhere(page):
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (page.parent / target).exists(), f"{target} does not exist"
