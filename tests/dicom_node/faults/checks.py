"""What must be true of a node at any moment, after a kill, and in the end."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.line import SlideStatus, Stage
from tests.dicom_node.faults.clinic import LIMIT_S, Clinic, wait_until
from tests.dicom_node.objects import data_set_offset

_ALL_SLIDES = 1_000_000


class Checks:
    """Checks of one clinic. A file that was found whole once is not read again: none may change."""

    def __init__(self, clinic: Clinic) -> None:
        self._clinic = clinic
        self._hashes: dict[tuple[int, int, int], str] = {}

    def nothing_partial(self) -> None:
        """Nothing partial is where a next stage looks; may be asked while the node runs."""
        clinic, sent = self._clinic, self._clinic.ledger.sent
        for path in _objects(clinic.instances):
            assert path.stem in sent, "an object that nobody sent is visible"
            assert self._hash(path) == path.stem, "a partial object is visible"
        for folder in clinic.original.glob("[!.]*"):
            for path in _objects(folder):
                assert self._hash(path) in sent, "assemble has published a partial object"
        for path in (clinic.root.path / "spool").rglob("*"):
            places = (clinic.incoming, clinic.instances)
            assert any(path.is_relative_to(place) for place in places), "a file lies elsewhere"

    def promises(self) -> None:
        """What was answered with success is there whole, and receipted once."""
        promised = self._clinic.ledger.promises()
        receipted = self._receipted()
        assert set(receipted.values()) <= {1}, "an object has two receipts"
        for uid, sha256 in promised.items():
            assert (uid, sha256) in receipted, "an object that was promised has no receipt"
        for uid, sha256 in receipted:
            assert self._clinic.ledger.sent[sha256] == uid, "a receipt of what nobody sent"
            path = self._clinic.instances / f"{sha256}.dcm"
            assert path.exists(), "a receipted object is not there"
            assert self._hash(path) == sha256, "a receipted object is not whole"

    def swept(self) -> None:
        """After a start, only receipted objects are left; ask before anything is sent."""
        kept = {sha256 for _, sha256 in self._receipted()}
        assert {path.stem for path in _objects(self._clinic.instances)} <= kept
        assert list(_objects(self._clinic.incoming)) == []

    def line(self) -> None:
        """Every promised object is on the line, once, with the bytes that were sent."""
        on_line: Counter[str] = Counter()
        with self._clinic.board() as board:
            for slide in board.snapshot(newest=_ALL_SLIDES):
                folder = board.folder(slide.slide_id, Stage.ASSEMBLE)
                if folder is not None:
                    on_line.update(self._published(self._clinic.original / folder))
        assert set(on_line.values()) <= {1}, "an object is on two slides"
        assert set(on_line) == set(self._clinic.ledger.promises()), "something is not on the line"

    def is_on_line(self) -> bool:
        """Whether every promised object is part of an assembled revision of a slide."""
        ledger = self._clinic.ledger
        with self._clinic.receipts() as receipts:
            if set(ledger.studies.values()) & set(receipts.open_studies()):
                return False
        known = {uid for uid, _ in self._receipted()}
        return known >= set(ledger.promises()) and all(
            slide.stage is not Stage.ASSEMBLE for slide in self.slides()
        )

    def await_line(self, limit_s: float = LIMIT_S) -> None:
        """Wait until it is so."""
        wait_until(self.is_on_line, limit_s, every_s=0.03)

    def waiting(self) -> list[str]:
        """Say in words what is not on the line yet, and why."""
        with self._clinic.receipts() as receipts:
            studies = receipts.open_studies()
        slides = [one for one in self.slides() if one.stage is Stage.ASSEMBLE]
        return [
            f"{len(studies)} studies with objects that are not assembled",
            *(f"{one.state} {one.words} {one.error}" for one in slides),
        ]

    def slides(self) -> tuple[SlideStatus, ...]:
        """Give every slide that the journal knows."""
        with self._clinic.board() as board:
            return board.snapshot(newest=_ALL_SLIDES)

    def _published(self, folder: Path) -> Iterator[str]:
        for one in json.loads((folder / "slide.json").read_text())["instances"]:
            sent = self._clinic.ledger.sent[self._hash(folder / one["file"])]
            assert sent == one["sop_instance_uid"]
            yield sent

    def _receipted(self) -> Counter[tuple[str, str]]:
        """How many receipts there are by SOP Instance UID and hash."""
        studies = set(self._clinic.ledger.studies.values())
        with self._clinic.receipts() as receipts:
            return Counter(
                (one.receipt.sop_instance_uid, one.receipt.sha256)
                for study in sorted(studies)
                for one in receipts.of_study(study)
            )

    def _hash(self, path: Path) -> str:
        """Hash of a file's data set; links to one file are read once."""
        stat = path.stat()
        mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if mark not in self._hashes:
            self._hashes[mark] = hash_of(path)
        return self._hashes[mark]


def hash_of(path: Path) -> str:
    """Hash of a file's data set."""
    with path.open("rb") as file:
        file.seek(data_set_offset(path))
        return hashlib.file_digest(file, "sha256").hexdigest()


def _objects(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.suffix in (".dcm", ".part"))
