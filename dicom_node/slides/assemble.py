"""The assemble stage: a received slide becomes a folder for the line, its identity is sealed."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import ConflictingInstance, IncompleteSlide
from appliance.line import Claim, Outcome
from appliance.slides.identity import identity_of
from appliance.storage import Root, publish, start_publication, storage_errors
from appliance.stores.receipts import Receipts, StoredInstance, StoredSlide
from appliance.worker import Work
from dicom_node.headers import Instance, read_datasets
from dicom_node.receive.receiver import facts_of
from dicom_node.receive.spool import Spool
from dicom_node.slides.completeness import veto
from dicom_node.slides.grouping import VOLUME, Arrival, group

log = logging.getLogger(__name__)

SLIDE_FILE: Final = "slide.json"
SEALED_FILE: Final = "identity.sealed"
_FLAVOURS: Final = (VOLUME, "LABEL", "OVERVIEW", "THUMBNAIL", "LOCALIZER")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assemble:
    """Handler of the assemble stage.

    Publishes `original/<folder>/` (hard links into the spool, finest level first, and `slide.json`)
    and `sealed/<folder>/identity.sealed`, which only release can open.
    """

    receipts: Receipts
    spool: Spool
    root: Root
    seal: Callable[[bytes, str], bytes]
    """Encrypts content for release only, bound to a slide id."""

    def __call__(self, work: Work) -> Outcome:
        """Assemble one revision of one slide.

        Raises
        ------
        ConflictingInstance
            Different objects came under one UID.
        IncompleteSlide
            Something is missing, or it is not certain what belongs to the slide.
        """
        claim = work.claim
        slide = self.receipts.slide(claim.slide_id)
        if slide is None:
            raise IncompleteSlide("The node has no receipts for this slide.")
        stored = self.receipts.seal(claim.slide_id, claim.revision)
        kept = [one for one in stored if not one.dismissed]
        self._check(slide, kept)
        members = sorted(((facts_of(one.receipt), one) for one in kept), key=_by_place)
        paths = [self.spool.path(one.receipt.sha256) for _, one in members]
        with storage_errors():
            names = _link(paths, work.output)
            _write_slide_file(work.output, claim, slide, members, names)
            self._seal(claim, paths)
        return Outcome(note=_note([facts for facts, _ in members], kept))

    def _check(self, slide: StoredSlide, kept: Sequence[StoredInstance]) -> None:
        if self.receipts.conflicts(slide.slide_id):
            raise ConflictingInstance(
                "Different objects came under one SOP Instance UID; both are kept."
            )
        if any(one.purged_at is not None for one in kept):
            raise IncompleteSlide(
                "Objects of this slide were purged after an archive had confirmed them."
            )
        facts = [facts_of(one.receipt) for one in kept]
        if not any(one.flavour == VOLUME for one in facts):
            raise IncompleteSlide("No VOLUME image came.")
        missing = veto(facts, self._doubt(slide, kept))
        if missing is not None and not slide.forced:
            raise IncompleteSlide(missing)

    def _doubt(self, slide: StoredSlide, kept: Sequence[StoredInstance]) -> str | None:
        stored = self.receipts.of_study(slide.study_instance_uid)
        numbers = {one.number for one in kept}
        groups = group(
            Arrival(
                number=one.number,
                instance=facts_of(one.receipt),
                association=one.receipt.association,
            )
            for one in stored
            if not one.dismissed
        )
        for found in groups:
            if found.doubt is not None and any(one.number in numbers for one in found.arrivals):
                return found.doubt
        return None

    def _seal(self, claim: Claim, paths: Sequence[Path]) -> None:
        headers = read_datasets(paths)
        content = identity_of(headers[0], headers).to_bytes()
        part = start_publication(self.root.zone("sealed"), claim.folder)
        (part / SEALED_FILE).write_bytes(self.seal(content, claim.slide_id))
        publish(part)


def _by_place(member: tuple[Instance, StoredInstance]) -> tuple[int, int, str, int, str]:
    """Sort key: flavour, finest level first, parts of a level in their order."""
    one, _ = member
    flavour = _FLAVOURS.index(one.flavour) if one.flavour in _FLAVOURS else len(_FLAVOURS)
    area_px = one.rows_px * one.columns_px
    return (flavour, -area_px, one.concatenation_uid or "", one.part or 0, one.sop_instance_uid)


def _link(paths: Sequence[Path], folder: Path) -> list[str]:
    names = [f"{number:04d}.dcm" for number in range(len(paths))]
    for path, name in zip(paths, names, strict=True):
        (folder / name).hardlink_to(path)
    return names


def _write_slide_file(
    folder: Path,
    claim: Claim,
    slide: StoredSlide,
    members: Sequence[tuple[Instance, StoredInstance]],
    names: Sequence[str],
) -> None:
    content = {
        "slide_id": claim.slide_id,
        "revision": claim.revision,
        "scanner": slide.scanner,
        "supersedes": slide.supersedes,
        "instances": [
            {
                "file": name,
                "flavour": facts.flavour,
                "sop_class_uid": facts.sop_class_uid,
                "sop_instance_uid": facts.sop_instance_uid,
                "transfer_syntax_uid": facts.transfer_syntax_uid,
                "rows_px": facts.rows_px,
                "columns_px": facts.columns_px,
                "sha256": one.receipt.sha256,
                "size_bytes": one.receipt.size_bytes,
            }
            for name, (facts, one) in zip(names, members, strict=True)
        ],
    }
    (folder / SLIDE_FILE).write_text(json.dumps(content, indent=1), encoding="utf-8")


def _note(facts: Sequence[Instance], kept: Sequence[StoredInstance]) -> str:
    n_levels = len({(one.rows_px, one.columns_px) for one in facts if one.flavour == VOLUME})
    size_mb = sum(one.receipt.size_bytes for one in kept) / 1e6
    return f"{len(kept)} objects with {n_levels} levels, {size_mb:.0f} MB."
