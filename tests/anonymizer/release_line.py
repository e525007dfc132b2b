"""A journal and zones in which slides stand at the release stage, put there by plain handlers."""

import atexit
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from anonymizer.keys.files import init_keys, read_seal_pub
from anonymizer.release.opened import SEALED, ReleaseKeys, read_keys
from anonymizer.release.stage import Release
from appliance.line import Outcome, SlideStatus, Stage, Verdict
from appliance.sealing import seal
from appliance.settings import Settings
from appliance.slides.findings import CLASS_MAP_PNG, FINDINGS_JSON, Findings
from appliance.storage import Root, publish, start_publication
from appliance.stores.database import open_engine
from appliance.stores.journal import Journal
from appliance.stores.vault import Vault
from appliance.trust import read_sign_public
from appliance.worker import Handler, Work, Worker
from inference.reports.naming import Naming
from inference.reports.outside_sr import outside_sr
from tests.anonymizer import release_parts
from tests.anonymizer.release_parts import (
    encoded,
    findings_of,
    original_slide,
    pseudonymous,
    report_of,
    sealed_identity,
)

INSIDE = {
    "name": "pacs",
    "recipient": "hospital",
    "place": "inside",
    "kind": "dimse",
    "carries": ["SR", "SEG"],
    "peer": {"ae_title": "PACS", "host": "127.0.0.1", "port": 11113},
    "addresses": ["127.0.0.0/8"],
}
STATEMENT = "does not protect against whoever holds the original"


def tiles_route(name="research", recipient="university", folder="/nowhere", **policy):
    terms = {
        "mechanism": "coloured_tiles",
        "statement": STATEMENT,
        "min_patients": 1,
        "tiles_per_shard": 8,
    } | policy
    return {
        "name": name,
        "recipient": recipient,
        "place": "outside",
        "kind": "folder",
        "carries": ["tiles"],
        "folder": folder,
        "policy": {"mechanism": "coloured_tiles", "statement": STATEMENT} | terms,
    }


def outside_sr_route(name="registry", recipient="registry"):
    return {
        "name": name,
        "recipient": recipient,
        "place": "outside",
        "kind": "folder",
        "carries": ["outside_sr"],
        "folder": "/nowhere",
        "policy": {"mechanism": "bare_report", "statement": STATEMENT},
    }


@cache
def _shared_keys() -> Path:
    """One set of keys for the whole run, so that what was built once serves all tests."""
    folder = Path(tempfile.mkdtemp(prefix="coverslip-test-keys-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    init_keys(folder / "keys")
    return folder / "keys"


@cache
def _built(number: int, patient: int) -> tuple[bytes, bytes, bytes]:
    """Encode the de-identified image, its SR and its SEG of one slide."""
    pseudonyms = read_keys(_shared_keys()).pseudonyms
    deid = pseudonymous(release_parts.original_slide(number, patient=patient), pseudonyms)
    return tuple(encoded(made) for made in (deid, *report_of(deid)))


@dataclass
class Line:
    """The line up to release, in one process."""

    path: Path
    routes: list[dict]
    now: float = 1_800_000_000.0
    engines: list = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = Root(self.path / "root")
        self.keys_folder = _shared_keys()
        self.keys: ReleaseKeys = read_keys(self.keys_folder)
        self.journal = Journal(self._engine("journal"), time.time)
        self.vault = Vault(self._engine("vault"), self.keys.cipher)
        self.settings = Settings.model_validate(
            {
                "storage": {"root": str(self.root.path)},
                "keys": {"folder": str(self.keys_folder)},
                "routes": self.routes,
            }
        )

    def _engine(self, store: str):
        path = self.root.zone(store) / f"{store}.db"
        engine = open_engine(f"sqlite:///{path}", store=store)
        self.engines.append(engine)
        return engine

    def close(self) -> None:
        for engine in self.engines:
            engine.dispose()

    @property
    def public_key(self):
        return read_sign_public(self.keys_folder / "sign.pub")

    def release(self) -> Release:
        return Release(
            settings=self.settings,
            root=self.root,
            vault=self.vault,
            keys=self.keys,
            journal=self.journal,
            clock=lambda: self.now,
        )

    def bring(
        self,
        slide_id: str,
        *,
        number: int = 1,
        patient: int = 1,
        verdict: Verdict = Verdict.ACCEPT,
        change_report=lambda folder: None,
        findings: Findings | None = None,
        maps: Mapping[str, np.ndarray] | None = None,
        report_with: Handler | None = None,
    ) -> None:
        """Walk a slide as far as release; `report_with` is the real report stage."""
        original = original_slide(number, patient=patient)
        deid, structured, segmentation = _built(number, patient)
        findings = findings or findings_of(verdict)

        def assemble(work: Work) -> Outcome:
            content = sealed_identity(original).to_bytes()
            part = start_publication(self.root.zone("sealed"), work.claim.folder)
            sealed = seal(read_seal_pub(self.keys_folder), content, slide_id)
            (part / SEALED).write_bytes(sealed)
            publish(part)
            return Outcome()

        def deidentify(work: Work) -> Outcome:
            (work.output / "volume-00.dcm").write_bytes(deid)
            return Outcome()

        def infer(work: Work) -> Outcome:
            (work.output / FINDINGS_JSON).write_text(findings.to_json())
            class_map = np.ones((findings.rows, findings.columns), dtype=np.uint8)
            for name, pixels in ({CLASS_MAP_PNG: class_map} | dict(maps or {})).items():
                Image.fromarray(pixels).save(work.output / name)
            return Outcome(verdict=verdict, reason=findings.reason)

        def report(work: Work) -> Outcome:
            (work.output / "sr.dcm").write_bytes(structured)
            (work.output / "seg.dcm").write_bytes(segmentation)
            naming = Naming(slide_id=slide_id, revision=1, sources=("0" * 64,))
            (work.output / "outside_sr.dcm").write_bytes(outside_sr(findings, naming))
            change_report(work.output)
            return Outcome()

        self.journal.add_slide(slide_id, scanner="scanner-1", last_byte_at=1.0)
        self.journal.complete(slide_id, actor="node", reason="all there")
        handlers = (assemble, deidentify, infer, report_with or report)
        for stage, handle in zip(list(Stage), handlers, strict=False):
            worker = Worker(journal=self.journal, root=self.root, stage=stage, handle=handle)
            assert worker.step()
            assert self.status(slide_id).stage is stage.following, self.status(slide_id).error

    def work(self, handle=None) -> bool:
        """Let release work on one slide."""
        return Worker(
            journal=self.journal,
            root=self.root,
            stage=Stage.RELEASE,
            handle=handle or self.release(),
        ).step()

    def status(self, slide_id: str) -> SlideStatus:
        found = self.journal.board.slide(slide_id)
        assert found is not None
        return found

    def parcels(self, route: str) -> list[Path]:
        """Published folders of a route that the journal names."""
        named = self.journal.board.named_parcels(route)
        return sorted(self.root.outbox(route) / name for name in named)
