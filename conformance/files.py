"""Files and folders that appear whole: no reader sees what is only half written."""

from __future__ import annotations

import secrets
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(file: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, and nothing between."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}-{secrets.token_hex(8)}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def put(fresh: Path, folder: Path) -> None:
    """Let ``folder`` have the files of ``fresh`` and nothing else; its readers are not disturbed.

    A new folder appears whole. One that is there is never taken away, since another process may
    read it now: each of its files is replaced at one stroke, and what was opened before stays
    readable.
    """
    wanted = sorted(file.name for file in fresh.iterdir())
    try:
        fresh.rename(folder)
    except OSError:  # it is there: another process was faster, or it was damaged
        if not folder.is_dir():
            raise
    else:
        return
    for file in folder.iterdir():
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)
        elif file.name not in wanted:
            file.unlink(missing_ok=True)
    for name in wanted:
        (fresh / name).replace(folder / name)
