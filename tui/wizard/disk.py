"""How much room a folder has, before it is made, and which limits of free space suit that."""

import shutil
from pathlib import Path

GIB = 2**30
SOFT_GIB, HARD_GIB = 50, 10
"""Limits of free space on a large disk; on a small one they are a share of it."""
SOFT_SHARE, HARD_SHARE = 0.10, 0.03


def limits_for(total_bytes: int) -> tuple[int, int]:
    """Give the two limits of free space, in GiB, that suit a disk of this size."""
    total_gib = total_bytes / GIB
    soft = min(SOFT_GIB, max(2, round(total_gib * SOFT_SHARE)))
    return soft, min(HARD_GIB, max(1, round(total_gib * HARD_SHARE)))


def there(path: Path) -> Path:
    """Give the innermost folder of a path that is there already."""
    for folder in (path, *path.parents):
        if folder.is_dir():
            return folder
    return Path("/")


def room(path: Path) -> tuple[int, int]:
    """Give free and all bytes of the file system on which a folder lies or will lie."""
    usage = shutil.disk_usage(there(path))
    return usage.free, usage.total
