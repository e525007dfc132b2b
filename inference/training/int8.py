"""Make the artifact model 8 bits wide: ``python -m inference.training.int8 --data DIR --out DIR``.

Reads OUT/model.onnx (float32), measures the range of every activation on training scenes, and
writes OUT/model_int8.onnx, which the appliance runs in half the time.
"""

import argparse
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from onnxruntime.quantization.calibrate import CalibrationDataReader
from onnxruntime.quantization.quant_utils import QuantFormat, QuantType
from onnxruntime.quantization.quantize import quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from inference.training import generated, scenes, sources
from inference.training.sources import Rgb, TissueImage

_SCENES = 64
_SEED = 77
_SIDE_PX = 256

log = logging.getLogger(__name__)


class _Scenes(CalibrationDataReader):
    """Training scenes, one at a time, as the model takes them."""

    def __init__(self, images: list[TissueImage]) -> None:
        self._made = _made(images)

    def get_next(self) -> dict[str, Rgb]:
        """Give the next batch of one; an empty one is the end."""
        rgb = next(self._made, None)
        return {} if rgb is None else {"image": rgb[None]}


def _made(images: list[TissueImage]) -> Iterator[Rgb]:
    draw = np.random.default_rng(_SEED)
    recipe = replace(scenes.ARTIFACT_RECIPE, side_px=_SIDE_PX)
    for _ in range(_SCENES):
        yield scenes.scene(draw, images, recipe)[0]


def quantise(model: Path, out: Path, images: list[TissueImage]) -> None:
    """Write `model` with 8-bit convolutions to `out`.

    Weights take seven bits: with eight, processors without VNNI instructions overflow.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(out),
            _Scenes(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Concat", "Resize"],
        )


def main() -> None:
    """Quantise OUT/model.onnx."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds SOURCES.md")
    parser.add_argument("--out", type=Path, required=True, help="folder of model.onnx")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    images = [*sources.load(arguments.data), *generated.load(share=2.5)]
    quantise(arguments.out / "model.onnx", arguments.out / "model_int8.onnx", images)
    log.info("wrote %s", arguments.out / "model_int8.onnx")


if __name__ == "__main__":
    main()
