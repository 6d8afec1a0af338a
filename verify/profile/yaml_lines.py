"""YAML in which every value still knows the line it stands on.

PyYAML's nodes carry positions and its plain data does not; a message about a bad profile needs both.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Located:
    """A YAML document: its plain `data`, and the 1-based line of each value by its path of keys."""

    data: Any
    lines: dict[KeyPath, int]


def load(path: Path) -> Located:
    """Read one YAML document.

    Raises:
        UserError: the file cannot be read, is no YAML, or has a key twice; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        # The C parser, which is several times as fast: each task over each host reads a profile again.
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
        data = yaml.load(text, Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UserError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from error
    lines: dict[KeyPath, int] = {}
    if root is not None:
        _collect(path, root, (), lines)
    return Located(data, lines)


def _collect(path: Path, node: yaml.Node, at: KeyPath, lines: dict[KeyPath, int]) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*at, key.value)
            line = key.start_mark.line + 1
            if below in lines:
                raise UserError(f"{path}:{line}: the key '{key.value}' stands here a second time")
            lines[below] = line
            _collect(path, value, below, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect(path, value, (*at, index), lines)
