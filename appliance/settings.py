"""The settings: one annotated TOML file into frozen values, checked before anything starts.

An unknown key names the nearest known one. Secrets are never in this file, only the folder that
holds them. Read once at start; restart to change.
"""

import difflib
import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.errors import ConfigError

AETitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e ]+$")]
Name = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z0-9][a-z0-9-]*$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Share = Annotated[float, Field(ge=0, le=1)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Section(BaseModel):
    """A table of the file: frozen, and strict about what it knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Storage(Section):
    """Where slides lie, and how full the disk may get."""

    root: Path
    soft_free_gib: float = Field(default=50.0, ge=0)
    """Below this, associations that propose storage are rejected as transient."""
    hard_free_gib: float = Field(default=10.0, ge=0)
    """Below this, a C-STORE is answered 0xA700."""


class Journal(Section):
    """Where the journal is, and how long a silent worker keeps its slide."""

    url: str = ""
    """SQLAlchemy URL; empty means SQLite below storage.root."""
    lease_s: float = Field(default=30.0, ge=1.0, le=3600.0)
    """A slide whose worker was killed or hung is worked again after so long."""


class Keys(Section):
    """Where the keys are; `coverslip keys init` makes them."""

    folder: Path


class Node(Section):
    """The DICOM node that scanners meet."""

    ae_title: AETitle = "COVERSLIP"
    host: str = "0.0.0.0"  # noqa: S104  an appliance listens to the scanners' network
    port: Port = 11112
    maximum_associations: int = Field(default=32, ge=1, le=512)


class Scanner(Section):
    """A scanner that may send; anyone else is rejected at association."""

    name: Name
    ae_title: AETitle
    addresses: tuple[Network, ...] = Field(min_length=1)
    quiet_s: float = Field(default=60.0, ge=0)
    """A slide counts as complete when its association ended and it was quiet this long."""
    expects: tuple[str, ...] = ()
    """Image flavors (VOLUME, LABEL, OVERVIEW, THUMBNAIL) that make a slide complete at once."""


class Deidentify(Section):
    """Options of the PS3.15 profile beyond the default; each is refused by name until it exists."""

    options: tuple[str, ...] = ()


class Model(Section):
    """A model and the digest that it must have."""

    folder: Path
    """A folder, or `bundled:NAME` for a model that comes with the appliance."""
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Inference(Section):
    """What runs the models."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    workers: int = Field(default=0, ge=0, le=256)
    """Workers on the CPU; 0 means one a core."""
    models: tuple[Model, ...] = ()


class VerdictRules(Section):
    """Share of the tissue from which an artifact asks for a rescan or for a look."""

    rescan: dict[str, Share] = Field(
        default_factory=lambda: {"out_of_focus": 0.15, "fold": 0.15, "bubble": 0.15}
    )
    review: dict[str, Share] = Field(
        default_factory=lambda: {
            "out_of_focus": 0.05,
            "fold": 0.05,
            "bubble": 0.05,
            "pen": 0.02,
            "dark_spot": 0.02,
        }
    )
    minimum_tissue_mm2: float = Field(default=0.05, ge=0)
    """Less tissue than this is no tissue: rescan."""


class Peer(Section):
    """A DICOM peer that a route sends to."""

    ae_title: AETitle
    host: str
    port: Port
    calling_ae_title: AETitle = "COVERSLIP"


class Policy(Section):
    """What an outside route may receive. Spelled out in `docs/coverslip.toml`."""

    statement: str = Field(min_length=10)
    """One line: what this policy does not protect against."""
    um_px: float = Field(default=0.5, gt=0)
    cell_px: int = Field(default=256, ge=64)
    crop_px: int = Field(default=192, ge=32)
    colours: Literal[2, 4] = 4
    """2 = checkerboard over two recipients, 4 = the 2 by 2 classes."""
    colour: int = Field(default=0, ge=0, le=3)
    """Which colour class this recipient gets; it gets one only."""
    min_patients: int = Field(default=20, ge=1)
    max_tiles_per_patient: int = Field(default=500, ge=1)
    tiles_per_shard: int = Field(default=256, ge=1)
    jpeg_quality: int = Field(default=90, ge=50, le=100)

    @model_validator(mode="after")
    def _protects(self) -> Self:
        if self.crop_px > 0.75 * self.cell_px:
            raise ValueError("crop_px may be at most 0.75 of cell_px")
        if (self.cell_px - self.crop_px) * self.um_px < MINIMUM_GAP_UM:
            raise ValueError("the mean gap between tiles must be at least 16 µm")
        if self.colour >= self.colours:
            raise ValueError("colour must be below colours")
        return self


MINIMUM_GAP_UM = 16.0


class Route(Section):
    """A way to a recipient."""

    name: Name
    recipient: Name
    place: Literal["inside", "outside"]
    kind: Literal["dimse", "folder"]
    carries: tuple[Literal["SR", "SEG", "tiles", "outside_sr"], ...] = Field(min_length=1)
    peer: Peer | None = None
    folder: Path | None = None
    addresses: tuple[Network, ...] = ()
    """Inside only: the ranges that count as inside; the peer's host must lie in one."""
    policy: Policy | None = None

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        carried = frozenset(self.carries)
        if self.place == "inside" and (self.kind != "dimse" or carried - {"SR", "SEG"}):
            raise ValueError("an inside route is of kind dimse and carries SR and SEG only")
        if self.place == "outside" and carried not in ({"tiles"}, {"outside_sr"}):
            raise ValueError("an outside route carries either tiles or outside_sr, nothing else")
        if self.place == "outside" and self.policy is None:
            raise ValueError("an outside route needs a policy")
        if self.kind == "dimse" and self.peer is None:
            raise ValueError("a route of kind dimse needs a peer")
        if self.kind == "folder" and self.folder is None:
            raise ValueError("a route of kind folder needs a folder")
        if "tiles" in carried and self.kind != "folder":
            raise ValueError("tiles go to a route of kind folder")
        if self.place == "inside" and not self._peer_is_inside():
            raise ValueError("the peer's host must be an address inside addresses")
        return self

    def _peer_is_inside(self) -> bool:
        if self.peer is None:
            return False
        try:
            address = ipaddress.ip_address(self.peer.host)
        except ValueError:
            return False
        return any(address in network for network in self.addresses)


class Operators(Section):
    """System groups whose members have a role at the control sockets."""

    viewer_group: str = "coverslip-viewer"
    technician_group: str = "coverslip-technician"
    administrator_group: str = "coverslip-administrator"


class Settings(Section):
    """Everything the appliance is told."""

    storage: Storage
    keys: Keys
    journal: Journal = Journal()
    node: Node = Node()
    scanners: tuple[Scanner, ...] = ()
    deidentify: Deidentify = Deidentify()
    inference: Inference = Inference()
    verdict: VerdictRules = VerdictRules()
    routes: tuple[Route, ...] = ()
    operators: Operators = Operators()

    @property
    def journal_url(self) -> str:
        """SQLAlchemy URL of the journal."""
        return self.journal.url or f"sqlite:///{self.storage.root / 'journal' / 'journal.db'}"

    def route(self, name: str) -> Route:
        """Find a route by name; raises ConfigError with the nearest one."""
        for route in self.routes:
            if route.name == name:
                return route
        hint = _did_you_mean(name, [route.name for route in self.routes])
        raise ConfigError(f"There is no route {name} in the settings{hint}.")

    @model_validator(mode="after")
    def _keeps_recipients_apart(self) -> Self:
        names = [route.name for route in self.routes]
        if len(set(names)) != len(names):
            raise ValueError("two routes have the same name")
        for route in self.routes:
            for other in self.routes:
                if route.recipient == other.recipient and route.carries != other.carries:
                    raise ValueError(
                        f"recipient {route.recipient} may get tiles or reports, never both"
                    )
        return self


def load(path: Path) -> Settings:
    """Read and check the settings file.

    Raises
    ------
    ConfigError
        The file is missing, is no TOML, or holds a key or value that does not fit; the sentence
        names file and key, and the nearest known key for a typing mistake.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"The settings file {path} does not exist.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.") from error
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {_explain(error)}.") from error


def _explain(error: ValidationError) -> str:
    mistakes = error.errors(include_url=False)
    unknown = [mistake for mistake in mistakes if mistake["type"] == "extra_forbidden"]
    first = (unknown or mistakes)[0]  # a mistyped key says more than the key it leaves missing
    place = ".".join(str(part) for part in first["loc"]) or "settings"
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"])
        return f"unknown key {place}{_did_you_mean(str(first['loc'][-1]), known)}"
    if first["type"] == "missing":
        return f"the key {place} is missing"
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Keys that the table at a location may hold."""
    model: Any = Settings
    for part in location[:-1]:
        if isinstance(part, str):
            model = _section_of(model.model_fields[part].annotation)
    return list(model.model_fields)


def _section_of(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _section_of(argument)
        if found is not None:
            return found
    return None


def _did_you_mean(word: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]}?" if nearest else ""
