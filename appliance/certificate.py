"""The signed statement of what the attack could rebuild of tiles that left by one release plan.

`coverslip privacy certify` writes it, as `certificates/<plan digest>.json` in the folder of keys;
release starts only when every route of coloured tiles has one that holds. It speaks of the terms
that the attack measures (`ColouredTiles.plan_digest`), not of a recipient: what is measured is one
slide alone, which is the worst that any number of patients in a batch can be.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.errors import ConfigError
from appliance.trust import key_id, signer_of

CERTIFICATES: Final = "certificates"
_CONTEXT: Final = b"coverslip/certificate/1\n"
_MAXIMUM_BYTES: Final = 2**22

_NEXT: Final = "make one with: coverslip privacy certify ROUTE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Tissue that was measured."""

    name: str
    kind: Literal["real", "arranged", "generated", "site"]
    """arranged: real pieces beside each other, pairs counted within a piece only."""
    um_px: float | None
    """None where the source does not say."""
    n_tiles: int
    """Tiles that the plan releases to all its recipients together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing that the attack measured, with what guessing reaches."""

    corpus: str
    seen_by: str
    """Who attacks: "one recipient", or the number of recipients that put their tiles together."""
    name: str
    value: float
    chance: float | None
    limit: float | None
    """None: told, but nothing hangs on it."""
    at_least: bool = False
    """Whether the limit is the least that the value may be, not the most."""
    n: int
    """What was counted: pairs, tiles."""

    @property
    def holds(self) -> bool:
        """Whether the value keeps its limit."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What the attack found out about one plan."""

    plan_digest: str
    plan: Mapping[str, float]
    """The terms behind the digest, for people."""
    measured_on: str
    """Day, ISO 8601."""
    software: str
    corpora: tuple[Corpus, ...]
    figures: tuple[Figure, ...]

    @property
    def holds(self) -> bool:
        """Whether something was asked for, and all of it keeps its limit."""
        asked = [figure for figure in self.figures if figure.limit is not None]
        return bool(asked) and all(figure.holds for figure in asked)

    def to_table(self) -> dict[str, Any]:
        """Give it as values for JSON."""
        return asdict(self)

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> "Measurement":
        """Take it from values of JSON; raises ValueError for anything else."""
        try:
            corpora = tuple(Corpus(**one) for one in table["corpora"])
            figures = tuple(Figure(**one) for one in table["figures"])
            return cls(**{**table, "corpora": corpora, "figures": figures})
        except (TypeError, KeyError) as error:
            raise ValueError("no measurement") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A measurement that this appliance's release vouches for."""

    measurement: Measurement
    key_id: str
    """Of the key that signed it."""


def write_certificate(
    folder: Path, measurement: Measurement, private_key: Ed25519PrivateKey
) -> Path:
    """Sign a measurement and put it in place of an earlier one of the same plan.

    Parameters
    ----------
    folder
        Of the keys.
    measurement
        Whether or not it holds: a certificate can say no.
    private_key
        Release's signing key.
    """
    table = {
        "holds": measurement.holds,
        "key_id": key_id(private_key.public_key()),
        "measurement": measurement.to_table(),
    }
    signature = private_key.sign(_CONTEXT + _canonical(table))
    path = folder / CERTIFICATES / f"{measurement.plan_digest}.json"
    try:
        path.parent.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(_canonical(table | {"signature": signature.hex()}))
        part.chmod(0o644)
        part.rename(path)
    except OSError as error:
        raise ConfigError(f"The certificate cannot be written to {path.parent}.") from error
    return path


def read_certificate(
    folder: Path, plan_digest: str, public_keys: Sequence[Ed25519PublicKey]
) -> Certificate:
    """Read the certificate of a plan and check its signature.

    Raises
    ------
    ConfigError
        There is none, it was altered, was signed by a key that is not trusted (any more), or
        speaks of another plan.
    """
    content = _content(folder, plan_digest)
    try:
        table = json.loads(content)
        signature = bytes.fromhex(table.pop("signature"))
        signer = signer_of(signature, _CONTEXT + _canonical(table), public_keys)
        measurement = Measurement.from_table(table["measurement"])
        named, holds = table["key_id"], table["holds"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"The certificate of its plan is damaged; {_NEXT}") from error
    if signer is None:
        raise ConfigError(f"The certificate of its plan was signed by another key; {_NEXT}")
    sound = (named, holds) == (key_id(signer), measurement.holds)
    if not sound or measurement.plan_digest != plan_digest:
        raise ConfigError(f"The certificate of its plan speaks of another one; {_NEXT}")
    return Certificate(measurement=measurement, key_id=table["key_id"])


def check_certified(
    plans: Mapping[str, str], folder: Path, public_keys: Sequence[Ed25519PublicKey]
) -> None:
    """See that every plan has a certificate, and that it holds.

    Parameters
    ----------
    plans
        Name of a route -> digest of its plan.
    folder
        Of the keys.
    public_keys
        Whose signature counts.

    Raises
    ------
    ConfigError
        One has none, or the attack rebuilt more than it may.
    """
    for route, plan_digest in plans.items():
        try:
            certificate = read_certificate(folder, plan_digest, public_keys)
        except ConfigError as error:
            raise ConfigError(f"Route {route}: {error}") from error
        if not certificate.measurement.holds:
            raise ConfigError(
                f"Route {route}: the attack on its plan rebuilt more than it may; choose a larger "
                "cell or a smaller crop."
            )


def _content(folder: Path, plan_digest: str) -> bytes:
    """Read the systemd credential of a certificate where there is one, else its file.

    systemd names the files of a folder that it hands over FOLDER_FILE.
    """
    name = f"{plan_digest}.json"
    handed_over = os.environ.get("CREDENTIALS_DIRECTORY")
    paths = [Path(handed_over) / f"{CERTIFICATES}_{name}"] if handed_over else []
    for path in (*paths, folder / CERTIFICATES / name):
        try:
            with path.open("rb") as file:
                return file.read(_MAXIMUM_BYTES)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError("The certificate of its plan cannot be read by this user.") from error
    raise ConfigError(f"Its plan has no certificate; {_NEXT}")


def _canonical(table: Mapping[str, Any]) -> bytes:
    return json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
