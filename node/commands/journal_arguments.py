"""The arguments of ``journal``, apart from its work: every command line describes them, few do it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_arguments(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Describe the operations: *add* makes a parser of a name and a summary."""
    parser = add("verify", "say whether the journal, or a backup, is whole and keeps its own rules: 0, or 5 if not")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a backup (the configured journal)")
    parser = add("backup", "copy the journal, beside a running node or without one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="a new file (one more in the folder of backups)")
    parser = add(
        "export", "write everything for auditors, a JSON document a line, without what could be used to command"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="a new file (standard output)")
    parser.add_argument("--file", type=Path, metavar="FILE", help="a backup (the configured journal)")
    parser = add("restore", "put a backup in the journal's place; the node must be dead; every account is locked then")
    parser.add_argument("file", nargs="?", type=Path, metavar="BACKUP", help="as journal backup made it")
    parser.add_argument("--anew", action="store_true", help="instead of a backup: begin without a past")
