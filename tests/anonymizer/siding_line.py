"""The line of `release_line` with routes to model servers, and a deliverer that answers."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from anonymizer.siding.siding import Siding
from appliance.answers import Answers, PlacedAnswers, read_placed, write_answers
from appliance.line import SIDING, ZONES, Claim, Outcome, Stage, State
from appliance.storage import publish, start_publication
from appliance.worker import Work, Worker
from tests.anonymizer.release_line import STATEMENT, Line, tiles_route

REPORT_AFTER_S = 600.0
MODEL = {
    "folder": "/nowhere",
    "digest": "sha256:" + "0" * 64,
    "name": "model",
    "report_after_s": REPORT_AFTER_S,
}
SERVERS = {
    "kind": "model_servers",
    "servers": [{"url": "http://127.0.0.1:18000"}],
    "model": MODEL,
}


def site_route(name="compute", *, um_px=0.5, tile_px=128):
    return SERVERS | {
        "name": name,
        "recipient": f"{name}-servers",
        "place": "site",
        "carries": ["tiles"],
        "addresses": ["127.0.0.0/8"],
        "policy": {
            "mechanism": "every_tile",
            "statement": STATEMENT,
            "um_px": um_px,
            "tile_px": tile_px,
        },
    }


def asking_route(name="research", recipient="university", **policy):
    route = tiles_route(name, recipient, **policy)
    return {key: value for key, value in route.items() if key != "folder"} | SERVERS


def few_tissue() -> dict[str, np.ndarray]:
    """Maps of a slide with tissue in one corner: 16 tiles of a site route."""
    class_map = np.zeros((128, 128), np.uint8)
    class_map[:32, :32] = 1
    return {"class_map.png": class_map}


class SidingLine(Line):
    """The line up to release, the siding, and whoever delivers between the two."""

    def siding(self) -> Siding:
        return Siding(
            settings=self.settings,
            root=self.root,
            vault=self.vault,
            journal=self.journal,
            clock=lambda: self.now,
        )

    def join(self) -> None:
        """Let the siding work until nothing is left to do."""
        siding = self.siding()
        while siding.step():
            pass

    def sent(self, folder: Path) -> dict[str, np.ndarray]:
        """The tiles of a parcel as they leave: id to pixels `(side, side, 3)`."""
        (path,) = folder.glob("*.tar")
        tiles = {}
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member).read()
                name, _, ending = member.name.partition(".")
                if ending == "json":
                    assert json.loads(content)["id"] == name
                else:
                    tiles[name] = np.array(Image.open(io.BytesIO(content)))
        return tiles

    def answer(self, route: str, says: Callable[[np.ndarray], np.ndarray], /, **change) -> str:
        """Deliver one parcel of a route, as its deliverer would; give its id."""
        claim = self.journal.parcels.claim(route)
        assert claim is not None
        tiles = self.sent(self.root.outbox(route) / claim.parcel.folder)
        values = np.stack([says(pixels) for pixels in tiles.values()]).astype(np.float32)
        answers = {
            "parcel_id": claim.parcel.parcel_id,
            "route": route,
            "tile_ids": tuple(tiles),
            "values": values,
        }
        name = f"{claim.parcel.parcel_id}@{claim.token}"
        self.lay(route, name, Answers(**answers | change))
        self.journal.parcels.delivered(claim, words="Answered.", answers=name)
        return claim.parcel.parcel_id

    def lay(self, route: str, name: str, answers: Answers) -> Path:
        part = start_publication(self.root.answers(route), name)
        write_answers(part, answers)
        return publish(part)

    def claim_again(self, slide_id: str) -> tuple[Claim, dict[str, PlacedAnswers]]:
        """Claim a slide that came back to infer, and read what it came back with."""
        claim = self.journal.claim(Stage.INFER)
        assert claim is not None
        assert claim.slide_id == slide_id
        work = Work(claim=claim, journal=self.journal, root=self.root, output=self.path)
        placed = work.placed()
        assert placed is not None
        return claim, {folder.name: read_placed(folder) for folder in sorted(placed.iterdir())}

    def walk_on(self, slide_id: str, *, state: State = State.DONE) -> None:
        """Walk a slide that came back through infer, report and release."""
        for stage in (Stage.INFER, Stage.REPORT):
            self._copy(slide_id, stage)
        assert self.work()
        assert self.status(slide_id).state is state

    def walk_anew(self, slide_id: str) -> None:
        """Walk a new revision to its end, with a new folder at every stage."""
        for stage in (Stage.ASSEMBLE, Stage.DEIDENTIFY, Stage.INFER, Stage.REPORT):
            self._copy(slide_id, stage)
        assert self.work()

    def _copy(self, slide_id: str, stage: Stage) -> None:
        """Let a stage publish what it published for the revision before."""
        name = self.journal.board.folder(slide_id, stage)
        assert name is not None

        def copy(work: Work) -> Outcome:
            shutil.copytree(self.root.zone(ZONES[stage]) / name, work.output, dirs_exist_ok=True)
            if stage is Stage.ASSEMBLE:
                sealed = self.root.zone("sealed")
                shutil.copytree(sealed / name, sealed / work.claim.folder)
            return Outcome()

        assert Worker(journal=self.journal, root=self.root, stage=stage, handle=copy).step()

    def events(self, kind: str) -> list[str]:
        return [event.text for event in self.journal.board.events() if event.kind == kind]

    def placed_folders(self) -> set[str]:
        return {path.name for path in self.root.zone("placed").iterdir()}

    def named(self) -> frozenset[str]:
        return self.journal.board.named_folders(SIDING)
