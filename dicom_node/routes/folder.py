"""Delivery into a folder, such as one that a recipient collects from."""

import contextlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from appliance.errors import DeliveryRefused, PeerUnavailable
from appliance.manifest import VerifiedParcel
from appliance.storage import fsync_folder
from dicom_node.routes.delivery import Delivery

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRoute:
    """Writes the files of a parcel under their own names; nothing is ever overwritten.

    A file that is there with the same content counts as delivered, one with other content is
    refused.
    """

    folder: Path

    def deliver(self, parcel: VerifiedParcel, *, again: bool) -> Delivery:  # noqa: ARG002  no matter
        """Write a parcel.

        Raises
        ------
        PeerUnavailable
            The folder cannot be written now.
        DeliveryRefused
            Something else lies there under the name of a file.
        """
        try:
            for name in sorted(parcel.files):
                self._put(name, parcel.files[name])
            fsync_folder(self.folder)
        except OSError as error:
            raise PeerUnavailable("The folder of the route cannot be written now.") from error
        return Delivery(words=f"Written to the folder of the route: files {len(parcel.files)}.")

    def _put(self, name: str, content: IO[bytes]) -> None:
        target = self.folder / name
        if target.exists() or target.is_symlink():
            _check_same(target, content)
            return
        part = self.folder / f".{secrets.token_hex(8)}.part"
        try:
            content.seek(0)
            with part.open("xb") as file:
                shutil.copyfileobj(content, file)
                file.flush()
                os.fsync(file.fileno())
            # A link fails where a rename would overwrite what another deliverer just put there.
            with contextlib.suppress(FileExistsError):
                target.hardlink_to(part)
        finally:
            part.unlink(missing_ok=True)
        _check_same(target, content)


def _check_same(target: Path, content: IO[bytes]) -> None:
    content.seek(0)
    if target.is_symlink() or not target.is_file():
        raise DeliveryRefused("Something that is no plain file lies under the name of a product.")
    with target.open("rb") as there:
        while True:
            ours, theirs = content.read(_CHUNK_BYTES), there.read(_CHUNK_BYTES)
            if ours != theirs:
                raise DeliveryRefused("A different file lies there under the name of a product.")
            if not ours:
                return
