"""A model says the same of the very bytes that were released as it says here, bit for bit."""

import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from PIL import Image

from anonymizer.tiles.every import TileNames, every_tile, read_tiles, sampler_of
from anonymizer.tiles.shards import Tile, shard
from appliance.answers import PlacedAnswers, read_placed, write_placed
from appliance.settings import EveryTile
from appliance.slides.sources import Pixels
from inference.judging.stored import read_class_map
from inference.model.bundle import BUNDLED, Models
from inference.model.manifest import Model, load_model
from inference.remote.placed import mapped
from inference.running.engine import Session
from inference.running.predict import Predictor
from tests.inference.conftest import Analysed, open_folder, quiet
from tests.inference.remote_parts import EVERY, SIDE_PX, manifest_folder

UM_PX = 1.0
"""Twice the slide's: at a whole ratio a tile holds the same pixels whatever is read beside it."""
POLICY = EveryTile.model_validate(EVERY | {"um_px": UM_PX})
TUMOUR = 1
BATCH = 32


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The bundled tile classifier, for slides of the generated slide's body site."""
    folder = manifest_folder(tmp_path_factory.mktemp("classifier"))
    manifest = (folder / "model.toml").read_text()
    (folder / "model.toml").write_text(manifest.replace("um_px = 0.97", f"um_px = {UM_PX}"))
    shutil.copy(BUNDLED / "metastasis" / "model.onnx", folder)
    return load_model(folder)


@pytest.fixture(scope="module")
def local(analysed: Analysed, models: Models, classifier: Model) -> npt.NDArray[np.float32]:
    """What it says here, tile by tile."""
    everyone = Models(tissue=models.tissue, artifact=models.artifact, classifiers=(classifier,))
    predictor = Predictor(everyone, device="cpu", workers=2)
    try:
        with open_folder(analysed.slide) as reader:
            (tile_map,) = predictor.predict(reader, quiet).tile_maps
    finally:
        predictor.close()
    return tile_map.probability


def released(analysed: Analysed) -> tuple[bytes, Mapping[str, tuple[int, int]]]:
    """Give the shard of every tile of the slide, and where each tile lies."""
    class_map = read_class_map(analysed.folder, analysed.findings)
    with open_folder(analysed.slide) as reader:
        sampler = sampler_of(reader, POLICY)
        tiles = every_tile(
            class_map,
            class_map_um_px=analysed.findings.class_map_um_px,
            sampler=sampler,
            policy=POLICY,
            names=TileNames(key=bytes(32), recipient="own", source="folder"),
        )
        files = {
            tile_id: Tile(jpeg=png, um_px=sampler.um_px, stain="H&E")
            for tile_id, png in read_tiles(sampler, tiles, tile_px=SIDE_PX)
        }
    return shard(files, ending="png"), {
        tile.tile_id: (tile.row_px, tile.column_px) for tile in tiles
    }


def pictures_of(content: bytes) -> dict[str, Pixels]:
    """Read a shard as a model server does."""
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {
            member.name.removesuffix(".png"): np.asarray(Image.open(tar.extractfile(member)))
            for member in tar.getmembers()
            if member.name.endswith(".png")
        }


def answered(pixels: Pixels, model: Model) -> npt.NDArray[np.float32]:
    """Ask the network as a model server does: ONNX Runtime as it comes, large batches."""
    session = onnxruntime.InferenceSession(model.onnx, providers=["CPUExecutionProvider"])
    starts = range(0, len(pixels), BATCH)
    answers = [
        session.run(["probability"], {"image": pixels[start : start + BATCH]})[0]
        for start in starts
    ]
    return np.concatenate(answers)


def test_answers_about_released_tiles_are_those_of_local_inference(
    analysed: Analysed, classifier: Model, local: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    content, places = released(analysed)
    pictures = pictures_of(content)
    assert pictures.keys() == places.keys()
    pixels = np.stack(list(pictures.values()))
    answers = answered(pixels, classifier)
    here = Session(classifier, device="cpu")
    assert bits(answers) == bits(np.concatenate([here.run(one[np.newaxis]) for one in pixels]))
    at = np.array([places[tile_id] for tile_id in pictures], np.int32)
    placed = PlacedAnswers(
        route="own",
        um_px=UM_PX,
        cell_px=SIDE_PX,
        side_px=SIDE_PX,
        n_tiles=len(at),
        rows_px=at[:, 0],
        columns_px=at[:, 1],
        values=answers,
    )
    write_placed(tmp_path, placed)
    joined = mapped(
        read_placed(tmp_path),
        classifier,
        findings=analysed.findings,
        class_map=read_class_map(analysed.folder, analysed.findings),
    ).raster(TUMOUR)
    judged = ~np.isnan(joined)
    assert np.count_nonzero(judged) == len(answers)
    assert joined.shape == local.shape
    both = judged & ~np.isnan(local)
    assert np.count_nonzero(both) > 40
    assert bits(joined[both]) == bits(local[both])


def bits(values: npt.NDArray[np.float32]) -> list[int]:
    """Give numbers as they are stored."""
    found: list[int] = np.ascontiguousarray(values).view(np.uint32).ravel().tolist()
    return found
