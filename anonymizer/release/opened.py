"""What release knows of one slide while it works on it: the identity, opened, and the products."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from anonymizer.keys.files import (
    cipher_of,
    read_pseudonyms,
    read_retired_recipients,
    read_seal_keys,
    read_secret,
    read_sign_key,
    read_sign_pub,
)
from anonymizer.pseudonyms import CodeList, Pseudonyms, subject_of
from anonymizer.release.belonging import Inverse, inverse_of
from appliance.errors import ConfigError, IncompleteSlide
from appliance.line import ZONES, Stage
from appliance.sealing import CellCipher, open_sealed
from appliance.slides.identity import SealedIdentity
from appliance.storage import Root, plain_folder
from appliance.stores.vault import Vault
from appliance.worker import Work

SEALED = "identity.sealed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseKeys:
    """The keys that only release holds together."""

    pseudonyms: Pseudonyms
    sampling_key: bytes
    cipher: CellCipher
    seal_key: X25519PrivateKey
    earlier_seal_keys: tuple[X25519PrivateKey, ...] = ()
    """From before a rotation, for identities that were sealed to them."""
    sign_key: Ed25519PrivateKey
    retired: frozenset[str] = frozenset()
    """Recipients to whom nothing is released any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSlide:
    """One slide at the release stage, its identity open."""

    slide_id: str
    revision: int
    token: str
    """Lease token of the claim: part of the name of every parcel's folder."""
    reported_at: float
    """Seconds since the epoch: when the journal named the report."""
    patient: str
    """Keyed pseudonym of the patient, for the ledger and for recipients: a code list that comes
    or goes must not make another patient of anyone."""
    inverse: Inverse
    deid: Path
    findings: Path
    report: Path

    @property
    def container(self) -> str:
        """Name of the physical container in the ledger; a slide without one stands for itself."""
        return self.inverse.subject.container_identifier or f"slide {self.slide_id}"


def read_keys(
    folder: Path, codes: CodeList | None = None, *, keeps_uids: bool = False
) -> ReleaseKeys:
    """Read release's keys.

    `codes` and `keeps_uids` are as the slides were de-identified with: the pseudonyms that release
    computes anew have to be the same.

    Raises
    ------
    ConfigError
        One is missing or damaged; nothing is released without all of them.
    """
    seal_key, *earlier_seal_keys = read_seal_keys(folder)
    sign_key = read_sign_key(folder)
    if sign_key.public_key() != read_sign_pub(folder):
        raise ConfigError("sign.key and sign.pub are no pair: coverslip keys rotate sign mends it.")
    pseudonyms = read_pseudonyms(folder, codes)
    return ReleaseKeys(
        pseudonyms=pseudonyms.keeping_uids() if keeps_uids else pseudonyms,
        sampling_key=read_secret(folder, "sampling.key"),
        cipher=cipher_of(folder),
        seal_key=seal_key,
        earlier_seal_keys=tuple(earlier_seal_keys),
        sign_key=sign_key,
        retired=read_retired_recipients(folder),
    )


def open_slide_of(work: Work, *, root: Root, vault: Vault, keys: ReleaseKeys) -> OpenedSlide:
    """Take a slide's identity into the vault and open it from there.

    Raises
    ------
    IncompleteSlide
        Assemble sealed no identity, or an earlier stage left nothing.
    IdentityDoubt
        The identity does not open for this slide.
    """
    slide_id = work.claim.slide_id
    ingest(slide_id, folder=work.product(Stage.ASSEMBLE).folder, root=root, vault=vault)
    identity = open_identity(vault.identity(slide_id), slide_id=slide_id, keys=keys)
    inverse = inverse_of(identity, keys.pseudonyms)
    return OpenedSlide(
        slide_id=slide_id,
        revision=work.claim.revision,
        token=work.claim.token,
        reported_at=work.product(Stage.REPORT).committed_at,
        patient=subject_of(inverse.header, keys.pseudonyms.without_codes()).patient_id,
        inverse=inverse,
        deid=_folder(work, Stage.DEIDENTIFY, root),
        findings=_folder(work, Stage.INFER, root),
        report=_folder(work, Stage.REPORT, root),
    )


def _folder(work: Work, stage: Stage, root: Root) -> Path:
    return root.zone(ZONES[stage]) / plain_folder(work.product(stage).folder, work.claim.slide_id)


def ingest(slide_id: str, *, folder: str, root: Root, vault: Vault) -> None:
    """Take the sealed identity of a slide's newest revision into the vault, once."""
    if vault.identity_source(slide_id) != folder:
        sealed = read_sealed(slide_id, folder=folder, root=root)
        vault.put_identity(slide_id, sealed, source=folder)


def read_sealed(slide_id: str, *, folder: str, root: Root) -> bytes:
    """Read the ciphertext that assemble wrote for a revision."""
    try:
        return (root.zone("sealed") / plain_folder(folder, slide_id) / SEALED).read_bytes()
    except OSError as error:
        raise IncompleteSlide("The sealed identity of this slide is missing.") from error


def open_identity(sealed: bytes, *, slide_id: str, keys: ReleaseKeys) -> SealedIdentity:
    """Open a sealed identity for the slide it was sealed for."""
    content = open_sealed(keys.seal_key, sealed, slide_id, earlier=keys.earlier_seal_keys)
    return SealedIdentity.from_bytes(content)
