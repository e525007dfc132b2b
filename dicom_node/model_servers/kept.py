"""Answers of a parcel as they come in, so that a restart asks nobody again what was answered.

A file `<parcel id>.partial`: one line that says what was asked, then a record a batch. It is ours
alone; whoever is killed in the midst of a record leaves a tail that nobody reads.
"""

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import numpy as np

from appliance.settings import RemoteModel
from appliance.storage import storage_errors
from dicom_node.model_servers.words import Values

_HEAD: Final = struct.Struct("<IIII")
"""Of a record: number of the batch, length of its JSON, length of its values, CRC of both."""
_DTYPE: Final = np.dtype("<f4")
SUFFIX: Final = ".partial"


class Kept:
    """The answers to one parcel that came so far.

    Parameters
    ----------
    folder
        Where the files of a route lie; the parcel's is made with the first answer.
    parcel_id
        From the signed manifest.
    terms
        See `terms_of`; what was answered under others is forgotten.
    """

    def __init__(self, folder: Path, parcel_id: str, *, terms: str) -> None:
        self._path = partial(folder, parcel_id)
        self._line = terms.encode() + b"\n"
        self._file: IO[bytes] | None = None
        self.values, self._length = _read(self._path, self._line)

    def add(self, batch: int, values: Values) -> None:
        """Keep the answer to a batch; raises StorageFull."""
        head = json.dumps(values.shape).encode()
        content = np.ascontiguousarray(values, _DTYPE).tobytes()
        crc = zlib.crc32(content, zlib.crc32(head))
        with storage_errors():
            if self._file is None:
                self._file = self._opened()
            self._file.write(_HEAD.pack(batch, len(head), len(content), crc) + head + content)
        self.values[batch] = values

    def close(self) -> None:
        """Close the file; it stays until `forget`."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> IO[bytes]:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        file = os.fdopen(descriptor, "ab", buffering=0)  # a record is written whole or torn
        file.truncate(self._length)
        if not self._length:
            file.write(self._line)
        return file


def terms_of(model: RemoteModel, tile_ids: Sequence[str]) -> str:
    """Digest of what was asked: which tiles, in which batches, of which model."""
    asked = [model.digest, model.name, model.version, model.output, model.batch, *tile_ids]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def partial(folder: Path, parcel_id: str) -> Path:
    """Path of the answers to a parcel that came so far."""
    return folder / f"{parcel_id}{SUFFIX}"


def forget(folder: Path, parcel_id: str) -> None:
    """Remove what was kept of a parcel."""
    partial(folder, parcel_id).unlink(missing_ok=True)


def _read(path: Path, line: bytes) -> tuple[dict[int, Values], int]:
    """Give the answers under these terms, and how much of the file they are."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}, 0
    if not content.startswith(line):
        return {}, 0
    answers: dict[int, Values] = {}
    place = len(line)
    while (record := _record(content, place)) is not None:
        batch, values, place = record
        answers[batch] = values
    return answers, place


def _record(content: bytes, place: int) -> tuple[int, Values, int] | None:
    if place + _HEAD.size > len(content):
        return None
    batch, n_head, n_values, crc = _HEAD.unpack_from(content, place)
    middle = place + _HEAD.size + n_head
    head, values = content[place + _HEAD.size : middle], content[middle : middle + n_values]
    if len(values) != n_values or zlib.crc32(values, zlib.crc32(head)) != crc:
        return None
    shaped = np.frombuffer(values, _DTYPE).reshape(json.loads(head))
    return batch, np.asarray(shaped, np.float32), middle + n_values
