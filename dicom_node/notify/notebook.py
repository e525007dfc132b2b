"""The memory in a file, so that nothing is told twice or forgotten over a restart.

The file lies in a zone that no other daemon can open: what it holds is sent as it is.
"""

import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from appliance.errors import StorageFull
from appliance.storage import write_durably
from dicom_node.notify.memory import Box, Memory
from dicom_node.notify.message import Message
from dicom_node.notify.notice import Notice

log = logging.getLogger(__name__)

_VERSION: Final = 1


class Notebook:
    """Keeps the memory; threads change it one after the other.

    Parameters
    ----------
    path
        Written anew whenever the memory changes.
    receivers
        Names of those who are told.
    """

    def __init__(self, path: Path, receivers: Iterable[str]) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept = _read(path).for_receivers(receivers)

    @property
    def memory(self) -> Memory:
        """The memory as it is now."""
        return self._kept

    def change(self, change: Callable[[Memory], Memory]) -> None:
        """Change the memory; it is durable when this returns.

        On a full disk it is kept in memory only: that the disk is full is to be told all the same.
        """
        with self._lock:
            changed = change(self._kept)
            if changed != self._kept:
                try:
                    write_durably(self._path, encoded(changed))
                except StorageFull:
                    log.warning("the disk is full: after a restart some things are told twice")
                self._kept = changed


def encoded(memory: Memory) -> bytes:
    """Write the memory as JSON."""
    boxes = {name: _box_values(box) for name, box in memory.boxes.items()}
    content = {"version": _VERSION, "known": dict(memory.known), "boxes": boxes}
    return json.dumps(content, indent=1).encode()


def decoded(content: bytes) -> Memory:
    """Read the memory; raises ValueError, KeyError or TypeError over what is none."""
    table = json.loads(content)
    if table["version"] != _VERSION:
        raise ValueError("another version")
    return Memory(
        known={str(key): _moment(at) for key, at in table["known"].items()},
        boxes={str(name): _box(values) for name, values in table["boxes"].items()},
    )


def _moment(at: Any) -> float | None:
    return None if at is None else float(at)


def _box_values(box: Box) -> dict[str, Any]:
    return asdict(box) | {"settled": sorted(box.settled)}


def _box(values: Mapping[str, Any]) -> Box:
    message = values["message"]
    if message is not None:
        message = Message(**message | {"notices": tuple(map(_notice, message["notices"]))})
    waiting = {key: _notice(notice) for key, notice in values["waiting"].items()}
    settled = frozenset(values["settled"])
    return Box(**dict(values) | {"waiting": waiting, "settled": settled, "message": message})


def _notice(values: Mapping[str, Any]) -> Notice:
    return Notice(**values)


def _read(path: Path) -> Memory:
    try:
        return decoded(path.read_bytes())
    except FileNotFoundError:
        return Memory()
    except (ValueError, KeyError, TypeError, AttributeError):
        log.warning("what was told is not known any more: it is told again")
        return Memory()
