"""The settings: one annotated TOML file into frozen values, checked before anything starts.

An unknown key names the nearest known one. Secrets are never in this file, only the folder that
holds them. Read once at start; restart to change.
"""

import hashlib
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from appliance.errors import ConfigError
from appliance.settings.mistakes import (
    Mistake,
    mistake_of_syntax,
    mistakes_in,
)
from appliance.settings.network import (
    ClientTls,
    Commitment,
    Dicomweb,
    Node,
    Scanner,
    ServerTls,
    is_loopback,
)
from appliance.settings.notices import Email, Notices, Webhook
from appliance.settings.peers import Confirmation, ObjectStore, Peer, RemoteModel, Server, Web
from appliance.settings.policy import (
    BareReport,
    ColouredTiles,
    EveryTile,
    Limits,
    Policy,
    TruePatient,
)
from appliance.settings.routes import Route, check_together, collude
from appliance.settings.sections import MisplacedValue, Section, Share, second
from appliance.settings.sentences import did_you_mean

__all__ = [
    "BareReport",
    "ClientTls",
    "ColouredTiles",
    "Commitment",
    "Confirmation",
    "Deidentify",
    "Dicomweb",
    "Email",
    "EveryTile",
    "Inference",
    "Journal",
    "Keys",
    "Limits",
    "Model",
    "Node",
    "Notices",
    "ObjectStore",
    "Operators",
    "Peer",
    "Policy",
    "RemoteModel",
    "Route",
    "Scanner",
    "Server",
    "ServerTls",
    "Settings",
    "Storage",
    "TruePatient",
    "VerdictRules",
    "Web",
    "Webhook",
    "collude",
    "credential",
    "is_loopback",
    "load",
]

_DIGEST: Final = r"^sha256:[0-9a-f]{64}$"
_ARTIFACTS: Final = ["fold", "dark_spot", "pen", "bubble", "out_of_focus", "blood"]
"""The names of `slides.classes.ARTIFACTS`, which no settings import: it needs NumPy."""


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

    def file(self, name: str) -> Path:
        """Path of a key: the systemd credential of that name, else the file in the folder."""
        return credential(self.folder / name)


def credential(path: Path) -> Path:
    """Give the systemd credential that has the name of a file, where there is one.

    So a secret can belong to root alone, and each daemon still gets those that it needs.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    handed_over = Path(folder) / path.name if folder else path
    return handed_over if handed_over.exists() else path


class Deidentify(Section):
    """How slides are de-identified."""

    options: tuple[str, ...] = ()
    """Options of PS3.15 beyond the default, by the names of Table E.1-1's columns."""
    site_rules: Path | None = None
    """Rules of the hospital, which remove more than the profile does."""
    code_list: Path | None = None
    """Pseudonyms of a study, by Patient ID; without it they are keyed."""
    reviewed_icc_profiles: tuple[Annotated[str, Field(pattern=_DIGEST)], ...] = ()
    """ICC profiles that may stay as they are; all others become sRGB."""
    text_in_pixels: Literal["set_aside", "remove", "off"] = "set_aside"
    """What becomes of a slide on whose kept images text or a barcode can be read."""
    label: Literal["compare", "ignore"] = "compare"
    """Whether a label that names another container sets the slide aside."""


class Model(Section):
    """A model and the digest that it must have."""

    folder: Path
    """A folder, or `bundled:NAME` for a model that comes with the appliance."""
    digest: str = Field(pattern=_DIGEST)


class Inference(Section):
    """What runs the models."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    workers: int = Field(default=0, ge=0, le=256)
    """Workers on the CPU; 0 means one a core."""
    model_limit_s: float = Field(default=60.0, gt=0, le=3600)
    """A model that takes longer for one batch hangs: the slide is set aside."""
    models: tuple[Model, ...] = ()


class Report(Section):
    """Which objects the PACS is given beside the SR, and how they are encoded."""

    segmentation: Literal["binary", "labelmap"] = "binary"
    """labelmap: Label Map Segmentation, ten to fifty times smaller; few viewers show it yet."""
    annotations: bool = False
    """The outlines of artifacts as Microscopy Bulk Simple Annotations, too."""
    heat_map: Literal["none", "parametric", "fractional"] = "none"
    """What a tile classifier saw: a Parametric Map, or a Segmentation of type FRACTIONAL."""
    one_pager: bool = False
    """One page with the slide picture as an Encapsulated PDF, for a PACS that shows only that."""


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
            "blood": 0.10,
        }
    )
    minimum_tissue_mm2: float = Field(default=0.05, ge=0)
    """Less tissue than this is no tissue: rescan."""
    unlikeness: float = Field(default=1.0, gt=0)
    """A slide that looks this unlike the training data is never accepted; 1 is the model's own
    limit, more lets stranger slides pass."""

    @field_validator("rescan", "review")
    @classmethod
    def _name_artifacts(cls, limits: dict[str, float]) -> dict[str, float]:
        for name in limits:
            if name not in _ARTIFACTS:
                hint = did_you_mean(name, _ARTIFACTS)
                raise MisplacedValue(f"there is no artifact {name}{hint}", name)
        return limits


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
    dicomweb: Dicomweb | None = None
    deidentify: Deidentify = Deidentify()
    inference: Inference = Inference()
    verdict: VerdictRules = VerdictRules()
    report: Report = Report()
    routes: tuple[Route, ...] = ()
    notices: Notices | None = None
    operators: Operators = Operators()

    @property
    def journal_url(self) -> str:
        """SQLAlchemy URL of the journal."""
        return self.journal.url or f"sqlite:///{self.storage.root / 'journal' / 'journal.db'}"

    @property
    def tile_plans(self) -> dict[str, str]:
        """Digest of the release plan of every route of coloured tiles, by the route's name."""
        plans = [(route.name, route.policy) for route in self.routes]
        return {name: plan.plan_digest for name, plan in plans if isinstance(plan, ColouredTiles)}

    @property
    def digests(self) -> dict[str, str]:
        """Eight digits for each table of the file, by its name: what a daemon runs with.

        They are shown to whoever may look, so the journal's URL, which may hold a password, is not
        among what they are made of.
        """
        tables = self.model_dump(mode="json", exclude={"journal": {"url"}})
        return {
            name: hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:8]
            for name, table in tables.items()
        }

    def route(self, name: str) -> Route:
        """Find a route by name; raises ConfigError with the nearest one."""
        for route in self.routes:
            if route.name == name:
                return route
        hint = did_you_mean(name, [route.name for route in self.routes])
        raise ConfigError(f"There is no route {name} in the settings{hint}.")

    @model_validator(mode="after")
    def _keeps_recipients_apart(self) -> Self:
        check_together(self.routes)
        return self

    @model_validator(mode="after")
    def _keeps_its_zones(self) -> Self:
        for number, route in enumerate(self.routes):
            folder = route.folder_outside
            if folder is not None and folder.is_relative_to(self.storage.root):
                raise MisplacedValue(
                    f"the folder of route {route.name} lies in storage.root, where only daemons "
                    "write",
                    *("routes", number, "folder" if route.folder else "store"),
                )
        return self

    @model_validator(mode="after")
    def _keeps_promises(self) -> Self:
        archives = any(route.is_archive and route.confirmation for route in self.routes)
        for number, scanner in enumerate(self.scanners):
            asked = scanner.commitment
            if asked is not None and asked.means == "after_archive" and not archives:
                raise MisplacedValue(
                    f"scanner {scanner.name} is answered after_archive: that needs a route that "
                    "carries originals, with a confirmation",
                    *("scanners", number, "commitment", "means"),
                )
        asked_for = [route.confirmation for route in self.routes]
        ports = [asked.report_port if asked is not None else 0 for asked in asked_for]
        twice = second([port or None for port in ports])
        if twice is not None:
            raise MisplacedValue(
                "two routes have the same confirmation.report_port; each needs its own",
                *("routes", twice, "confirmation", "report_port"),
            )
        twice = second([scanner.ae_title for scanner in self.scanners])
        if twice is not None:
            raise MisplacedValue(
                "two scanners have the same AE title", *("scanners", twice, "ae_title")
            )
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A settings file and what is wrong with it."""

    text: str
    settings: Settings | None
    """None when there is a mistake."""
    mistakes: tuple[Mistake, ...] = ()
    """In the order of their lines."""


def read(path: Path) -> str:
    """Read the settings file; raises ConfigError when it is missing or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"The settings file {path} does not exist; coverslip setup makes one."
        ) from error
    except OSError as error:
        raise ConfigError(f"The settings file {path} cannot be read by this user.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not valid TOML: it is no UTF-8 text.") from error


def check(text: str) -> Checked:
    """Check the text of a settings file, and find every mistake in it."""
    try:
        settings = Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        return Checked(text=text, settings=None, mistakes=(mistake_of_syntax(str(error), text),))
    except ValidationError as error:
        return Checked(text=text, settings=None, mistakes=mistakes_in(error, Settings, text))
    return Checked(text=text, settings=settings)


def load(path: Path) -> Settings:
    """Read and check the settings file.

    Raises
    ------
    ConfigError
        The file is missing, is no TOML, or holds a key or value that does not fit; the sentence
        names file, line and key, and the nearest known key for a typing mistake.
    """
    checked = check(read(path))
    if checked.settings is not None:
        return checked.settings
    first, *more = checked.mistakes
    others = f" There are {len(more)} more mistakes." if len(more) > 1 else ""
    others = " There is one more mistake." if len(more) == 1 else others
    raise ConfigError(f"{first.told(path.name)}{others}")
