"""Buckets of S3, Google Cloud Storage, Azure and folders through obstore; the only door to it.

What obstore says is never passed on: its messages hold addresses, names and answers of servers.
"""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast
from urllib.parse import unquote, urlsplit

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from appliance.errors import ApplianceError, ConfigError, DeliveryRefused, PeerUnavailable
from appliance.settings.peers import ObjectStore as StoreSettings
from appliance.storage import fsync_folder
from dicom_node.routes.store_keys import read_keys
from dicom_node.status import PeerFailed

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, RetryConfig, S3Config

Keys = Mapping[str, str]

CONNECT_TIMEOUT_S: Final = 10.0
REQUEST_TIMEOUT_S: Final = 300.0
"""For one object there or back; a shard of 256 tiles has about 4 MB."""
_CHUNK_BYTES: Final = 1 << 20
_ENVIRONMENT: Final = re.compile(
    r"(AWS|GOOGLE|AZURE|IDENTITY|MSI)_.*|(ALL|HTTPS?|NO)_PROXY", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Where a route puts objects."""

    store: ObjectStore
    folder: Path | None = None
    """Of a store that is a folder."""

    def create(self, name: str, content: IO[bytes]) -> bool:
        """Create an object unless there is one of this name, in one request that does both.

        The whole content is in memory while it is sent: a condition goes with one request only.

        Parameters
        ----------
        name
            Below the prefix of the route.
        content
            Read from its start.

        Returns
        -------
        bool
            False when there is one already.

        Raises
        ------
        PeerUnavailable
            It may work later.
        DeliveryRefused
            The store does not take it.
        """
        content.seek(0)
        with _store_errors():
            if self.folder is not None and not self.folder.is_dir():
                raise PeerUnavailable("The folder of the route cannot be written now.")
            try:
                self.store.put(name, content, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            if self.folder is not None:
                _make_durable(self.folder / name)
        return True

    def holds(self, name: str, content: IO[bytes]) -> bool:
        """Whether the object of this name has this content, byte by byte.

        Raises
        ------
        PeerUnavailable
            It may work later; the object may have gone.
        DeliveryRefused
            The store does not let us read it.
        """
        size = content.seek(0, os.SEEK_END)
        content.seek(0)
        with _store_errors(missing=PeerUnavailable("The object went away while it was compared.")):
            there = self.store.get(name)
            if there.meta["size"] != size:
                return False
            chunks = there.stream(min_chunk_size=_CHUNK_BYTES)
            return all(content.read(len(chunk)) == bytes(chunk) for chunk in chunks)

    def probe(self) -> None:
        """Ask for an object that nobody has; its absence is the answer that is hoped for.

        Raises
        ------
        PeerUnavailable
            The store does not answer now.
        DeliveryRefused
            It does not let us ask, or has no such bucket.
        """
        with _store_errors():
            if self.folder is not None and not self.folder.is_dir():
                raise PeerUnavailable("The folder of the route is not there now.")
            try:
                self.store.get(f"probe-{secrets.token_hex(16)}")
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                    raise DeliveryRefused(_NO_BUCKET) from None
            except (PermissionDeniedError, UnauthenticatedError):
                raise DeliveryRefused(_NO_QUESTIONS) from None


def open_bucket(settings: StoreSettings, *, timeout_s: float = REQUEST_TIMEOUT_S) -> Bucket:
    """Open the bucket that a route's settings name; nothing is sent yet.

    Raises
    ------
    ConfigError
        Its keys or certificates cannot be used.
    PeerUnavailable
        The folder is not there now.
    """
    url = urlsplit(settings.url)
    prefix = unquote(url.path).strip("/")
    if url.scheme == "file":
        return _folder(Path(unquote(url.path)))
    if settings.credentials_file is None:  # the settings want one; else obstore asks the network
        raise ConfigError(f"store.credentials_file: a store at {url.scheme}:// needs one.")
    keys = read_keys(settings.credentials_file, url.scheme)
    client = _client(settings, timeout_s)
    try:
        with _without_environment():
            store = _OPENERS[url.scheme](url.netloc, prefix or None, settings, keys, client)
    except (BaseError, ValueError):
        words = "The store of the route cannot be opened with these settings, keys and certificates"
        raise ConfigError(f"{words}.") from None
    return Bucket(store=store)


def _folder(folder: Path) -> Bucket:
    if not folder.is_dir():
        raise PeerUnavailable("The folder of the route is not there now.")
    return Bucket(store=LocalStore(folder), folder=folder)


def _s3(
    bucket: str, prefix: str | None, settings: StoreSettings, keys: Keys, client: "ClientConfig"
) -> ObjectStore:
    config = {
        **_endpoint("endpoint", settings),
        **keys,
        "region": settings.region or "us-east-1",
        "checksum_algorithm": "SHA256",
    }
    return S3Store(
        bucket,
        prefix=prefix,
        config=cast("S3Config", config),
        client_options=client,
        retry_config=_NO_RETRY,
    )


def _gcs(
    bucket: str, prefix: str | None, settings: StoreSettings, keys: Keys, client: "ClientConfig"
) -> ObjectStore:
    return GCSStore(
        bucket,
        prefix=prefix,
        config=cast("GCSConfig", {**_endpoint("base_url", settings), **keys}),
        client_options=client,
        retry_config=_NO_RETRY,
    )


def _azure(
    container: str, prefix: str | None, settings: StoreSettings, keys: Keys, client: "ClientConfig"
) -> ObjectStore:
    return AzureStore(
        container,
        prefix=prefix,
        config=cast("AzureConfig", {**_endpoint("endpoint", settings), **keys}),
        client_options=client,
        retry_config=_NO_RETRY,
    )


_NO_RETRY: Final["RetryConfig"] = {"max_retries": 0}
"""The line itself tries again, and says why on the screen."""
_OPENERS: Final = {"s3": _s3, "gs": _gcs, "az": _azure}


def _endpoint(key: str, settings: StoreSettings) -> dict[str, str]:
    return {} if settings.endpoint is None else {key: str(settings.endpoint).rstrip("/")}


def _client(settings: StoreSettings, timeout_s: float) -> "ClientConfig":
    client: ClientConfig = {
        "allow_http": settings.is_clear,
        "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=timeout_s),
        "user_agent": "coverslip",
    }
    if settings.ca is not None:
        try:
            client["root_certificate"] = settings.ca.read_bytes()
        except OSError as error:
            raise ConfigError(f"store.ca: {settings.ca} cannot be read.") from error
    return client


@contextmanager
def _without_environment() -> Iterator[None]:
    """Let obstore see no key, endpoint or proxy that the settings do not name."""
    names = [name for name in os.environ if _ENVIRONMENT.fullmatch(name)]
    taken = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(taken)


def _make_durable(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    fsync_folder(path.parent)


@contextmanager
def _store_errors(missing: ApplianceError | None = None) -> Iterator[None]:
    """Translate what obstore raises; the one door of this library."""
    try:
        yield
    except FileNotFoundError:
        raise missing or DeliveryRefused(_NO_BUCKET) from None
    except (PermissionDeniedError, UnauthenticatedError) as error:
        words = _WRONG_CLOCK if "RequestTimeTooSkewed" in str(error) else _NO_ENTRY
        raise DeliveryRefused(words) from None
    except (BaseError, OSError) as error:
        raise _meaning(str(error)) from None


def _meaning(message: str) -> ApplianceError:
    """Say what a failure means, by what stands in obstore's description of it."""
    answered = _STATUS.search(message)
    if answered is not None:
        return _of_status(int(answered[1]))
    for pattern, words in _REFUSED.items():
        if pattern in message:
            return DeliveryRefused(words)
    for pattern, words in _LATER.items():
        if pattern in message:
            return PeerUnavailable(words)
    return PeerUnavailable("The connection to the store broke off.")


def _of_status(status: int) -> ApplianceError:
    if status in _BUSY:
        return PeerUnavailable(f"The store takes no more for now (HTTP {status}).")
    if status == _NOT_IMPLEMENTED:
        return DeliveryRefused("The store cannot create an object only where there is none yet.")
    if status in _SERVER_ERRORS:
        return PeerFailed(f"The store failed over our request (HTTP {status}).")
    return DeliveryRefused(
        f"The store refused our request (HTTP {status}): check url, endpoint and region."
    )


_NO_BUCKET: Final = "The store has no bucket as the url of the route says: check url and endpoint."
_NO_ENTRY: Final = (
    "The store does not let us in: check the keys in credentials_file, and that they may create "
    "and read objects there."
)
_NO_QUESTIONS: Final = (
    "The store answers, and does not let us ask for an object: the keys in credentials_file are "
    "wrong, or may not list."
)
_WRONG_CLOCK: Final = "The store takes no request of a machine whose clock is as wrong as ours."
_STATUS: Final = re.compile(r"non-2xx status code: ([0-9]{3})")
_BUSY: Final = frozenset({408, 425, 429, 502, 503, 504, 507})
_NOT_IMPLEMENTED: Final = 501
_SERVER_ERRORS: Final = range(500, 600)
_REFUSED: Final[Mapping[str, str]] = {
    "NotValidForName": "The certificate of the store is for another host name.",
    "InvalidCertificate": "The store does not present a certificate that we trust: check ca.",
    "InvalidMessage": "The store does not speak TLS 1.2 or newer at this port.",
    "HandshakeFailure": "The store does not speak TLS 1.2 or newer at this port.",
    "ProtocolVersion": "The store does not speak TLS 1.2 or newer at this port.",
    "BareRedirect": "The store wants us to go elsewhere: check endpoint and region.",
}
_LATER: Final[Mapping[str, str]] = {
    "kind: Connect,": "The store does not answer at its address.",
    "kind: Timeout,": "The store did not answer in time.",
}
"""Kinds of failure as obstore and the libraries below it name them; tests meet each for real."""
