"""The signed list of what a parcel holds: release builds and signs it, deliver checks it.

A parcel is a folder `outbox/<route>/<parcel>@<token>` with its files, `manifest.json` (canonical
JSON) and `manifest.sig` (Ed25519). Deliver sends only what `open_verified` hands over: the very
bytes that were hashed, so that a file replaced between check and send changes nothing.
"""

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.errors import DeliveryRefused, LimitReached, PermissionEnded
from appliance.line import REPORTS
from appliance.trust import key_id, signer_of

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"

MAY_CARRY: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "inside": {"report": REPORTS},
    "site": {"tiles": frozenset({"tiles"})},
    "outside": {
        "tiles": frozenset({"tiles"}),
        "outside_sr": frozenset({"outside_sr"}),
    },
}
"""By place of the route and kind of parcel: the kinds of file that may be in it (DESIGN 6)."""

_CONTEXT: Final = b"coverslip/manifest/1\n"
_MAXIMUM_MANIFEST_BYTES: Final = 16 * 2**20
_IN_MEMORY_BYTES: Final = 32 * 2**20
_CHUNK_BYTES: Final = 2**20


class RouteTerms(Protocol):
    """What deliver knows of its route from the root-owned settings."""

    @property
    def name(self) -> str:
        """Name of the route, also of its outbox folder."""

    @property
    def place(self) -> str:
        """Either "inside", "site" or "outside"."""

    @property
    def recipient(self) -> str:
        """Legal or trust domain at the other end."""

    @property
    def carries(self) -> Collection[str]:
        """Kinds of file it may carry: `REPORTS`, "tiles", "outside_sr"."""

    @property
    def policy_digest(self) -> str:
        """Digest of the terms under which anything may leave on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """One file of a parcel."""

    name: str
    sha256: str
    size_bytes: int
    kind: str
    """One of `REPORTS`, "tiles" and "outside_sr"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What one parcel holds, for which route, and until when it may be sent."""

    parcel_id: str
    route: str
    recipient: str
    place: str
    kind: str
    """Kind of parcel: "report" (SR and SEG), "outside_sr" or "tiles"."""
    policy_digest: str
    """SHA-256 of the policy under which release built it."""
    files: tuple[ListedFile, ...]
    created_at: float
    """Seconds since the epoch, UTC; given by release, so that a retry gives the same bytes."""
    expires_at: float
    key_id: str
    not_before: float = 0.0
    """Seconds since the epoch, UTC: start of the day on which the route's limits have room for it.
    """

    def to_bytes(self) -> bytes:
        """Encode as canonical JSON: sorted keys, no blanks, ASCII."""
        return json.dumps(
            asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True
        ).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Decode; other spellings of the same JSON are refused.

        Raises
        ------
        DeliveryRefused
            Not a manifest in its canonical form.
        """
        try:
            table = json.loads(content)
            files = tuple(ListedFile(**entry) for entry in table.pop("files"))
            manifest = cls(**table, files=files)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DeliveryRefused("The manifest of the parcel cannot be read.") from error
        if manifest.to_bytes() != content:
            raise DeliveryRefused("The manifest of the parcel is not in its canonical form.")
        return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedParcel:
    """A parcel whose signature and content were checked."""

    manifest: Manifest
    files: Mapping[str, IO[bytes]]
    """By name: private copies of the bytes that were hashed, at their start."""

    def read(self, name: str) -> bytes:
        """Whole content of one file."""
        file = self.files[name]
        file.seek(0)
        return file.read()


def list_file(path: Path, kind: str) -> ListedFile:
    """Measure a file that goes into a parcel."""
    content = path.read_bytes()
    return ListedFile(
        name=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        kind=kind,
    )


def sign(folder: Path, manifest: Manifest, private_key: Ed25519PrivateKey) -> None:
    """Write `manifest.json` and `manifest.sig` beside the files of a parcel.

    Raises
    ------
    DeliveryRefused
        The manifest lists what its place may never receive; nothing is written then.
    """
    _check_kinds(manifest)
    content = manifest.to_bytes()
    (folder / MANIFEST).write_bytes(content)
    (folder / SIGNATURE).write_bytes(private_key.sign(_CONTEXT + content))


def verify(
    folder: Path, *, route: RouteTerms, public_key: Ed25519PublicKey, now: float
) -> Manifest:
    """Check a parcel as `open_verified` does, and return its manifest."""
    with open_verified(folder, route=route, public_key=public_key, now=now) as parcel:
        return parcel.manifest


@contextmanager
def open_verified(
    folder: Path,
    *,
    route: RouteTerms,
    public_key: Ed25519PublicKey,
    now: float,
    earlier: Sequence[Ed25519PublicKey] = (),
) -> Iterator[VerifiedParcel]:
    """Check a parcel and hand over private copies of the bytes that were checked.

    Parameters
    ----------
    folder
        Published parcel.
    route
        The route it is about to be sent on, from the settings.
    public_key
        Release's signing key.
    now
        Seconds since the epoch, UTC.
    earlier
        Keys that release signed with before a rotation, for what is still on its way.

    Raises
    ------
    DeliveryRefused
        Unsigned, altered, for another route, expired, of a kind the route may not carry, or the
        folder holds anything but the listed regular files.
    LimitReached
        It may leave on a later day only.
    """
    with ExitStack() as stack:
        directory = _open_folder(folder)
        stack.callback(os.close, directory)
        manifest = _signed_manifest(directory, (public_key, *earlier))
        _check_terms(manifest, route, now)
        _check_kinds(manifest)
        expected = {MANIFEST, SIGNATURE, *(file.name for file in manifest.files)}
        if set(os.listdir(directory)) != expected:  # noqa: PTH208 - of an open descriptor
            raise DeliveryRefused("The parcel does not hold exactly the files of its manifest.")
        files = {
            listed.name: stack.enter_context(_checked_copy(directory, listed))
            for listed in manifest.files
        }
        yield VerifiedParcel(manifest=manifest, files=files)


def _open_folder(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (OSError, ValueError) as error:  # ValueError: the journal may name any text
        raise DeliveryRefused("The folder of the parcel is missing or not a folder.") from error


def _signed_manifest(directory: int, public_keys: Sequence[Ed25519PublicKey]) -> Manifest:
    content = _small_file(directory, MANIFEST)
    signature = _small_file(directory, SIGNATURE)
    signer = signer_of(signature, _CONTEXT + content, public_keys)
    if signer is None:
        raise DeliveryRefused("The parcel's signature is not release's.")
    manifest = Manifest.from_bytes(content)
    if manifest.key_id != key_id(signer):
        raise DeliveryRefused("The parcel was signed with another key.")
    return manifest


def _check_terms(manifest: Manifest, route: RouteTerms, now: float) -> None:
    if manifest.route != route.name:
        raise DeliveryRefused("The parcel was signed for another route.")
    if (manifest.recipient, manifest.place) != (route.recipient, route.place):
        raise PermissionEnded("The parcel was signed for another recipient than the route has now.")
    if manifest.policy_digest != route.policy_digest:
        raise PermissionEnded("The parcel was made under another policy than the route has now.")
    if now < manifest.not_before:
        raise LimitReached("The limit of this route for today is used up.")
    if now >= manifest.expires_at:
        raise PermissionEnded("The parcel's permission to leave has expired.")
    if not {file.kind for file in manifest.files} <= set(route.carries):
        raise DeliveryRefused("The parcel holds a kind of product this route does not carry.")


def _check_kinds(manifest: Manifest) -> None:
    allowed = MAY_CARRY.get(manifest.place, {}).get(manifest.kind, frozenset())
    kinds = {file.kind for file in manifest.files}
    if not kinds or not kinds <= allowed:
        raise DeliveryRefused(
            f"A parcel of this kind may not leave on a route that is {manifest.place}."
        )
    names = [file.name for file in manifest.files]
    reserved = {MANIFEST, SIGNATURE, ""}
    plain = all(name == Path(name).name and name not in reserved for name in names)
    if not plain or len(set(names)) != len(names):
        raise DeliveryRefused("The manifest of the parcel lists a name that is no file name.")


def _open_regular(directory: int, name: str) -> IO[bytes]:
    try:
        # Without O_NONBLOCK a FIFO under that name would hold the deliverer for ever.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=directory)
    except OSError as error:
        raise DeliveryRefused("A file of the parcel is missing or is a link.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DeliveryRefused("The parcel holds something that is not a plain file.")
    return os.fdopen(descriptor, "rb")


def _small_file(directory: int, name: str) -> bytes:
    with _open_regular(directory, name) as file:
        content = file.read(_MAXIMUM_MANIFEST_BYTES + 1)
    if len(content) > _MAXIMUM_MANIFEST_BYTES:
        raise DeliveryRefused("The manifest of the parcel is too large.")
    return content


@contextmanager
def _checked_copy(directory: int, listed: ListedFile) -> Iterator[IO[bytes]]:
    digest = hashlib.sha256()
    remaining = listed.size_bytes + 1
    with SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as copy:
        with _open_regular(directory, listed.name) as file:
            while remaining > 0 and (chunk := file.read(min(_CHUNK_BYTES, remaining))):
                remaining -= len(chunk)
                digest.update(chunk)
                copy.write(chunk)
        if remaining != 1 or digest.hexdigest() != listed.sha256:
            raise DeliveryRefused("A file of the parcel is not the one that was signed.")
        copy.seek(0)
        yield copy
