"""What a power cut may leave on a disk, as far as POSIX goes and no further.

Files keep what was in them when they were synced last; of what was written since, nothing, all,
or some may be there, or zeros. Folders keep the names that they had when they were synced last;
of the names made, changed and removed since, any may be as before. A rename may have happened
half: the new name there, the old one still there.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.durability.tap import Operation

CONTENTS = ("synced", "all", "cut", "zeros", "some")
Image = dict[str, bytes | None]
"""Paths to contents; None for a folder."""


@dataclass(eq=False, slots=True)
class Node:
    """A file or a folder."""

    is_folder: bool
    now: bytes = b""
    synced: bytes = b""
    unsynced: list[Operation] = field(default_factory=list)
    names: dict[str, Node] = field(default_factory=dict)
    # Changes of names since the last sync: (kind, name, target, node).
    changes: list[tuple[str, str, str, Node]] = field(default_factory=list)
    kept: dict[str, Node] = field(default_factory=dict)


@dataclass(slots=True)
class Disk:
    """A disk on which some operations were made."""

    root: str
    top: Node = field(default_factory=lambda: Node(is_folder=True))

    def find(self, path: str) -> Node:
        node = self.top
        for name in Path(path).relative_to(self.root).parts:
            node = node.names[name]
        return node

    def do(self, operation: Operation) -> None:
        if operation.kind == "note":
            return
        if operation.kind == "write":
            node = self.find(operation.path)
            node.unsynced.append(operation)
            node.now = written(node.now, operation)
        elif operation.kind == "sync":
            node = self.find(operation.path)
            node.synced, node.unsynced = node.now, []
            node.kept, node.changes = dict(node.names), []
        else:
            self.change_names(operation)

    def change_names(self, operation: Operation) -> None:
        path = Path(operation.path)
        folder = self.find(str(path.parent))
        target = Path(operation.target).name if operation.target else ""
        if operation.kind in ("create", "mkdir"):
            node = Node(is_folder=operation.kind == "mkdir")
        else:
            node = folder.names[path.name]
        change = (operation.kind, path.name, target, node)
        folder.changes.append(change)
        apply(folder.names, change)

    def folders(self) -> list[Node]:
        return [node for node in self.nodes() if node.is_folder]

    def nodes(self) -> Iterator[Node]:
        """All that is in the tree, or was and may be again."""
        waiting, seen = [self.top], set()
        while waiting:
            node = waiting.pop()
            if id(node) not in seen:
                seen.add(id(node))
                yield node
                waiting += [*node.names.values(), *node.kept.values()]
                waiting += [change[3] for change in node.changes]


def written(content: bytes, operation: Operation) -> bytes:
    end = operation.offset + len(operation.data)
    content = content.ljust(operation.offset, b"\0")
    return content[: operation.offset] + operation.data + content[end:]


def apply(names: dict[str, Node], change: tuple[str, str, str, Node], how: str = "all") -> None:
    kind, name, target, node = change
    if kind in ("create", "mkdir"):
        names[name] = node
    elif kind == "rename":
        names[target] = node
        if how == "all":
            names.pop(name, None)
    elif names.get(name) is node:
        names.pop(name)


def content(node: Node, how: str, chance: random.Random) -> bytes:
    if how == "synced" or not node.unsynced:
        return node.synced if node.unsynced else node.now
    if how == "cut":
        return node.now[: chance.randrange(len(node.now) + 1)]
    if how == "zeros":
        return bytes(len(node.now))
    if how == "some":
        data = node.synced
        for operation in node.unsynced:
            data = written(data, operation) if chance.random() < 0.5 else data
        return data
    return node.now


def crash_images(disk: Disk, chance: random.Random, *, n_random: int = 4) -> Iterator[Image]:
    """What may be there after a power cut now: each single deviation, and some mixtures."""
    changes = [change for folder in disk.folders() for change in folder.changes]
    n_changes = len(changes)
    nothing, everything = ["none"] * n_changes, ["all"] * n_changes
    choices: list[list[str]] = [nothing, everything]
    for place, change in enumerate(changes):
        choices.append([*nothing[:place], "all", *nothing[place + 1 :]])
        choices.append([*everything[:place], "none", *everything[place + 1 :]])
        if change[0] == "rename":
            choices.append([*everything[:place], "linked", *everything[place + 1 :]])
    for choice, how in itertools.product(choices, CONTENTS):
        yield make_image(disk, choice, [how], chance)
    for _ in range(n_random if n_changes else 0):
        choice = [chance.choice(("none", "all", "linked")) for _ in changes]
        yield make_image(disk, choice, CONTENTS, chance)


def make_image(
    disk: Disk, choice: list[str], contents: Sequence[str], chance: random.Random
) -> Image:
    ways = iter(choice)
    listing: dict[int, dict[str, Node]] = {}
    for folder in disk.folders():
        names = dict(folder.kept)
        for change in folder.changes:
            if (how := next(ways)) != "none":
                apply(names, change, how)
        listing[id(folder)] = names
    image: Image = {}
    waiting = [("", disk.top)]
    while waiting:
        path, node = waiting.pop()
        if not node.is_folder:
            image[path] = content(node, chance.choice(contents), chance)
            continue
        image[path or "."] = None
        waiting += [(f"{path}/{name}".lstrip("/"), one) for name, one in listing[id(node)].items()]
    return image


def lay_down(image: Image, folder: Path) -> None:
    """Write an image to a real folder."""
    for path in sorted(image, key=lambda path: path.count("/")):
        data = image[path]
        if data is None:
            (folder / path).mkdir(parents=True, exist_ok=True)
        else:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
