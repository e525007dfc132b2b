"""Settings of what a route connects to: DICOM peers, DICOMweb, object stores, model servers."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    AnyUrl,
    Field,
    UrlConstraints,
    model_validator,
)

from appliance.settings.network import ClientTls, ServerTls
from appliance.settings.sections import AETitle, Port, Section


def _without_a_user(url: AnyUrl) -> AnyUrl:
    if url.username is not None or url.password is not None:
        raise ValueError("a url holds no user and no password; secrets come from files only")
    return url


HttpUrl = Annotated[AnyHttpUrl, AfterValidator(_without_a_user)]
ServerUrl = Annotated[
    AnyUrl,
    UrlConstraints(allowed_schemes=["grpc", "grpcs", "http", "https"], host_required=True),
    AfterValidator(_without_a_user),
]
StoreUrl = Annotated[str, Field(pattern=r"^(s3|gs|az|file)://[^\s?#@]+$")]


class Peer(Section):
    """A DICOM peer that a route sends to."""

    ae_title: AETitle
    host: str
    port: Port
    calling_ae_title: AETitle = "COVERSLIP"
    tls: ClientTls | None = None
    """None means clear text."""

    @property
    def is_clear(self) -> bool:
        """Whether it is spoken to without TLS."""
        return self.tls is None


class Web(Section):
    """A DICOMweb service that a route sends to."""

    url: HttpUrl
    """Base, without `/studies`."""
    tls: ClientTls | None = None
    """For https; None trusts the certificate authorities of the system."""
    token_file: Path | None = None
    """Holds the bearer token that is sent along."""

    @property
    def host(self) -> str:
        """Host of the URL."""
        return (self.url.host or "").strip("[]")

    @property
    def is_clear(self) -> bool:
        """Whether it is spoken to without TLS."""
        return self.url.scheme != "https"


class ObjectStore(Section):
    """A bucket that shards are put into."""

    url: StoreUrl
    """`s3://bucket/prefix`, `gs://…`, `az://container/prefix`, or `file:///folder`."""
    endpoint: HttpUrl | None = None
    """Of a store that is not the cloud's own, such as an S3 server of the recipient."""
    region: str | None = None
    credentials_file: Path | None = None
    """TOML with the keys of the store, such as access_key_id and secret_access_key of s3."""
    ca: Path | None = None
    """PEM; who vouches for the endpoint, when the system does not."""

    @property
    def host(self) -> str:
        """Host that is connected to; empty for a folder."""
        if self.endpoint is not None:
            return (self.endpoint.host or "").strip("[]")
        cloud = {"s3": "s3.amazonaws.com", "gs": "storage.googleapis.com"}
        scheme = self.url.partition("://")[0]
        return "" if scheme == "file" else cloud.get(scheme, "blob.core.windows.net")

    @property
    def is_clear(self) -> bool:
        """Whether it is spoken to without TLS."""
        return self.endpoint is not None and self.endpoint.scheme != "https"

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        scheme, _, place = self.url.partition("://")
        if (scheme == "file") != place.startswith("/"):
            raise ValueError(f"the url is to be file:///folder, or {scheme}://bucket/prefix")
        if (scheme == "file") != (self.credentials_file is None):
            raise ValueError("a store needs a credentials_file, and a folder needs none")
        return self


class Server(Section):
    """One model server of a recipient: it speaks the Open Inference Protocol, version 2."""

    url: ServerUrl
    """`grpc(s)://host:port`, or `http(s)://host:port`."""
    tls: ClientTls | None = None
    """For grpcs and https; None trusts the certificate authorities of the system."""
    token_file: Path | None = None
    """Holds the bearer token that is sent along."""

    @property
    def host(self) -> str:
        """Host of the URL."""
        return (self.url.host or "").strip("[]")

    @property
    def is_clear(self) -> bool:
        """Whether it is spoken to without TLS."""
        return self.url.scheme not in ("grpcs", "https")

    @model_validator(mode="after")
    def _has_a_port(self) -> Self:
        if self.url.port is None:
            raise ValueError("the url of a server needs a port")
        if self.tls is not None and self.is_clear:
            raise ValueError("tls goes with grpcs or https")
        return self


class RemoteModel(Section):
    """What the servers of a recipient run, and how they are asked."""

    folder: Path
    """Holds its `model.toml`: what the classes mean. A `model.onnx` beside it is not needed."""
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    """SHA-256 of that `model.toml`."""
    name: str = Field(min_length=1)
    """As the servers know it."""
    version: str = ""
    """As the servers know it; empty leaves the choice to them."""
    input: str = "image"
    """Tensor of tiles: `(n, side, side, 3)` uint8."""
    output: str = "probabilities"
    """Tensor of answers: `(n, classes)` or `(n, rows, columns, classes)` float32."""
    batch: int = Field(default=32, ge=1, le=1024)
    """Tiles in one request."""
    in_flight: int = Field(default=4, ge=1, le=64)
    """Requests under way at one server."""
    timeout_s: float = Field(default=30.0, gt=0, le=3600)
    """A server that takes longer for one request has failed."""
    report_after_s: float = Field(default=3_600.0, ge=0)
    """A slide of which some tiles were answered so long ago is reported without the rest."""


class Confirmation(Section):
    """A product counts as delivered only when the peer has committed to it (PS3.4 J)."""

    wait_s: float = Field(default=30.0, gt=0)
    """How long the association is kept open for the answer; asked again later."""
    report_host: str = "0.0.0.0"  # noqa: S104  the PACS calls back here
    report_port: Port | None = None
    """Where we listen for answers on new associations; None: only on the same one."""
    report_tls: ServerTls | None = None
    """Of that port; None means clear text."""
