"""Peak memory of judging a slide of 100,000 x 100,000 px, and of one a tenth as large.

The large one has the frames of few pieces again and again, so that it is made in seconds. Each
slide is judged, by the stage that the line runs, in a process of its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from appliance.settings import VerdictRules
from appliance.slides.reader import open_slide
from benchmarks.inference_peer import peak_mib
from benchmarks.inference_slides import PIECE_PX, Frames, Mosaic, write
from inference.model import bundle
from inference.running import engine
from inference.running.predict import Predictor
from inference.stage import find

AIM_RSS_MIB = 1000.0 * 1000 * 1000 / (1 << 20)
AIM_GROWTH = 1.25
"""Ten times the pixels may take a quarter more memory: maps of the slide, not its pixels."""
LARGE_PX, QUICK_LARGE_PX = 100_000, 40_000
_TISSUE_SHARE = 0.12
_QUALITY = 40


def measured(folder: Path, *, quick: bool) -> tuple[dict[str, float], list[bool]]:
    """Measure both slides, print them, and give results and what was met."""
    large_px = QUICK_LARGE_PX if quick else LARGE_PX
    frames = Frames(_QUALITY)
    figures = {}
    print(f"\n{'peak memory of a slide of':46}{'RSS MiB':>8} {'s':>7} {'MB on disk':>11}")
    for name, side_px in (("large", large_px), ("tenth", round(large_px / 10**0.5))):
        pieces = -(-side_px // PIECE_PX)
        mosaic = Mosaic(
            pieces_down=pieces,
            pieces_across=pieces,
            tissue_pieces=max(1, round(pieces * pieces * _TISSUE_SHARE)),
            um_px=0.25,
            quality=_QUALITY,
        )
        files = write(folder / name, mosaic, frames)
        size_mb = sum(one.stat().st_size for one in files) / 1e6
        began = time.perf_counter()
        figures[name] = _rss_mib(files)
        seconds = time.perf_counter() - began
        words = f"{mosaic.columns:,} x {mosaic.rows:,} px, {mosaic.tissue_mm2:.0f} mm² of tissue"
        print(f"  {words:44}{figures[name]:8.0f} {seconds:7.1f} {size_mb:11.0f}")
    growth = figures["large"] / figures["tenth"]
    met = [
        _met("peak memory of the large slide, MiB", figures["large"], AIM_RSS_MIB),
        _met("times the memory of the small slide", growth, AIM_GROWTH),
    ]
    results = {"large_rss_mib": figures["large"], "tenth_rss_mib": figures["tenth"]}
    return results | {"rss_growth": growth}, met


def _rss_mib(files: list[Path]) -> float:
    command = [sys.executable, "-m", "benchmarks.inference_memory", *map(str, files)]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(ended.stdout))


def _met(words: str, value: float, at_most: float) -> bool:
    reached = value <= at_most
    print(f"{'met   ' if reached else 'MISSED'} {words}: {value:.2f} (at most {at_most:.4g})")
    return reached


def _judge(files: list[Path]) -> None:
    workers = engine.worker_count(0)
    predictor = Predictor(bundle.bundled(), device=engine.CPU, workers=workers)
    with tempfile.TemporaryDirectory() as output, open_slide(files) as reader:
        find(
            reader,
            predictor,
            VerdictRules(),
            output=Path(output),
            slide_id="bench",
            revision=1,
            progress=lambda *_: None,
        )
    predictor.close()
    print(json.dumps(peak_mib()))


if __name__ == "__main__":
    _judge([Path(one) for one in sys.argv[1:]])
