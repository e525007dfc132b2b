"""Which stored slides the reader reads: the same pixels as a second library, or a refusal.

Run by `make formats`. Every set under `$COVERSLIP_DATA/dicom*` is read whole, level by level, and
compared with OpenSlide where that opens it, else with pydicom's decoders, else with Pillow's; none
of them is what the reader decodes by. `QUICK=1` leaves out the large levels. Exits 0 only when
every set is equal or refused in one sentence.
"""

import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openslide
import pydicom
from PIL import Image, UnidentifiedImageError
from pydicom.encaps import generate_frames
from pydicom.pixels import iter_pixels

from appliance.errors import RejectedError
from appliance.slides.codestreams import Kind, sniff
from appliance.slides.image import VolumeImage, volume_image
from appliance.slides.reader import SlideReader, open_slide

Picture = npt.NDArray[np.uint8]
Peer = Callable[[tuple[int, int]], Picture | None]
"""Give the whole level of that many rows and columns; None when it is not read."""

DECODERS = {
    Kind.JPEG: "libjpeg-turbo (simplejpeg)",
    Kind.JPEG_12: "libjpeg-turbo 3 (wsidicom)",
    Kind.JPEG_LOSSLESS: "libjpeg-turbo 3 (wsidicom)",
    Kind.JPEG_LS: "CharLS (wsidicom)",
    Kind.JPEG_2000: "OpenJPEG (wsidicom)",
    Kind.HTJ2K: "OpenJPEG (wsidicom)",
    Kind.JPEG_XL: "libjxl (wsidicom)",
    Kind.RLE: "PackBits (wsidicom)",
    Kind.NATIVE: "NumPy",
}
EIGHT_BITS = 8
_QUICK_PX = 2_000_000
_BAND_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    name: str
    syntax: str
    organisation: str
    read_by: str
    compared_with: str = ""
    levels: int = 0
    difference: int = 0
    """Largest of any pixel of any level, of 255."""
    refusal: str = ""

    @property
    def holds(self) -> bool:
        """Equal to a second library, or refused in one sentence."""
        if self.refusal:
            return self.refusal.count(".") == 1 and self.refusal.endswith(".")
        return bool(self.compared_with) and self.difference <= self.tolerance

    @property
    def tolerance(self) -> int:
        """1 where the wavelet is one of real numbers, whose rounding ITU-T T.803 leaves free."""
        is_wavelet = self.read_by in {DECODERS[Kind.JPEG_2000], DECODERS[Kind.HTJ2K]}
        return int(is_wavelet and "Lossless" not in self.syntax)

    @property
    def result(self) -> str:
        """What the reader made of it, in words."""
        if self.refusal:
            return f"refused: {self.refusal}"
        if not self.compared_with:
            return "READ, BUT NO SECOND LIBRARY READS IT"
        if not self.holds:
            return f"DIFFERS by {self.difference}"
        return "equal but for rounding, 1 of 255" if self.difference else "equal"


def sets(data: Path) -> Iterator[tuple[str, list[Path]]]:
    """Give the name and the files of each set: a folder of one slide, or one file of a collection.

    Parameters
    ----------
    data
        Folder that holds `dicom` and `dicom_converted`.
    """
    whole = [*sorted((data / "dicom_converted").iterdir())]
    whole += [data / "dicom/wsi2dcm_cmu-1-small-region", data / "dicom/wg26_fluorescence/BPAEC"]
    for folder in whole:
        yield (
            folder.name,
            [file for file in sorted(folder.iterdir()) if file.suffix not in {".txt", ".json"}],
        )
    for file in sorted((data / "dicom").rglob("*.dcm")):
        if not any(folder in file.parents for folder in whole):
            yield str(file.relative_to(data / "dicom")), [file]


def examine(name: str, files: Sequence[Path], *, quick: bool) -> Row:
    """Read one set and compare it.

    Parameters
    ----------
    name
        For the table.
    files
        Its files.
    quick
        Leave out the large levels of a pyramid.
    """
    syntax, organisation, read_by = _facts(files)
    row = Row(name=name, syntax=syntax, organisation=organisation, read_by=read_by)
    try:
        with (
            open_slide(files) as reader,
            tempfile.TemporaryDirectory() as folder,
            ExitStack() as on,
        ):
            peers = list(_peers(files, reader, Path(folder), on))
            return _compared(row, reader, peers, quick=quick)
    except RejectedError as error:
        return replace(row, read_by="-", refusal=str(error))


def _facts(files: Sequence[Path]) -> tuple[str, str, str]:
    header = pydicom.dcmread(files[0], stop_before_pixels=True, force=True)
    try:
        images = [image for image in map(volume_image, files) if image is not None]
    except RejectedError:
        images = []
    if not images:
        syntax = getattr(header.file_meta, "TransferSyntaxUID", pydicom.uid.UID(""))
        return syntax.name or "-", str(header.get("DimensionOrganizationType") or "-"), "-"
    image = images[0]
    kind: Kind | None = Kind.NATIVE
    if image.is_encapsulated:
        frames = image.frames()
        stream = sniff(frames.frame(0))
        kind = stream.kind if stream else None
        frames.close()
    order = image.frame_order
    words = [str(image.header.get("DimensionOrganizationType") or "by position")]
    words += ["concatenation"] * any(one.frame_order.concatenation_uid for one in images)
    words += [f"{order.n_paths} optical paths"] * (order.n_paths > 1)
    words += [f"{image.form.bits_stored} bit"] * (image.form.bits_stored > EIGHT_BITS)
    syntax = image.header.file_meta.TransferSyntaxUID.name
    return syntax, ", ".join(words), DECODERS[kind] if kind else "-"


def _compared(
    row: Row, reader: SlideReader, peers: Sequence[tuple[str, Peer]], *, quick: bool
) -> Row:
    used: list[str] = []
    difference = 0
    for number, level in enumerate(reader.levels):
        if quick and level.rows * level.columns > _QUICK_PX and len(reader.levels) > 1:
            continue
        shape = (level.rows, level.columns)
        seen = ((name, peer(shape)) for name, peer in peers)
        name, expected = next(((name, one) for name, one in seen if one is not None), ("", None))
        if expected is None:
            return row
        used.append(name)
        difference = max(difference, _difference(reader, number, expected))
    return replace(
        row,
        compared_with=", ".join(dict.fromkeys(used)),
        levels=len(reader.levels),
        difference=difference,
    )


def _difference(reader: SlideReader, number: int, expected: Picture) -> int:
    """Compare a level in bands; the largest difference of any pixel."""
    level, largest = reader.levels[number], 0
    for top in range(0, level.rows, _BAND_ROWS):
        rows = min(_BAND_ROWS, level.rows - top)
        found = reader.region(number, top, 0, rows, level.columns)
        beside = expected[top : top + rows].astype(np.int16)
        largest = max(largest, int(np.abs(found - beside).max()))
    return largest


def _peers(
    files: Sequence[Path], reader: SlideReader, folder: Path, on: ExitStack
) -> Iterator[tuple[str, Peer]]:
    """Give the second libraries that open the set, the most independent one first."""
    copies = [folder / f"{number}.dcm" for number in range(len(files))]
    for copy, file in zip(copies, files, strict=True):
        copy.symlink_to(file.resolve())
    images = [image for image in map(volume_image, copies) if image is not None]
    if reader.is_colour:
        yield "Pillow, as the header belies its frames", _by_pillow(images, jfif=True)
        with suppress(openslide.OpenSlideError):
            slide = on.enter_context(openslide.OpenSlide(images[0].path))
            yield "OpenSlide", _by_openslide(slide)
    yield "pydicom", _by_pydicom(images)
    if reader.is_colour:
        yield "Pillow", _by_pillow(images, jfif=False)


def _by_openslide(slide: openslide.OpenSlide) -> Peer:
    """Read from the corner, where no rounding of places between levels enters."""

    def read(shape: tuple[int, int]) -> Picture | None:
        rows, columns = shape
        try:
            level = slide.level_dimensions.index((columns, rows))
            rgba = np.asarray(slide.read_region((0, 0), level, (columns, rows)))
        except (openslide.OpenSlideError, ValueError):
            return None
        return np.where(rgba[:, :, 3:] == 0, 255, rgba[:, :, :3]).astype(np.uint8)

    return read


def _by_pillow(images: Sequence[VolumeImage], *, jfif: bool) -> Peer:
    """Put the frames of a TILED_FULL instance together as Pillow decodes them; it sees no header.

    Parameters
    ----------
    jfif
        Read only what says JFIF, so YCbCr, under a header that says RGB. Libraries differ there:
        OpenSlide believes the header, and gives false colours.
    """

    def read(shape: tuple[int, int]) -> Picture | None:
        image = next(one for one in images if (one.grid.rows, one.grid.columns) == shape)
        if not image.is_encapsulated or image.groups is not None:
            return None
        dataset, grid = pydicom.dcmread(image.path), image.grid
        whole = np.full((grid.down * grid.tile_rows, grid.across * grid.tile_columns, 3), 255, "u1")
        frames = generate_frames(dataset.PixelData, number_of_frames=image.n_frames)
        for number, frame in enumerate(frames):
            if jfif and (image.form.photometric_interpretation, frame[6:10]) != ("RGB", b"JFIF"):
                return None
            try:
                tile = np.asarray(Image.open(io.BytesIO(frame)).convert("RGB"))
            except UnidentifiedImageError:
                return None
            top, left = divmod(number, grid.across)
            top, left = top * grid.tile_rows, left * grid.tile_columns
            whole[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        return whole[: grid.rows, : grid.columns]

    return read


def _by_pydicom(images: Sequence[VolumeImage]) -> Peer:
    """Put the frames of a TILED_FULL instance together as pydicom decodes them.

    Greys of more than 8 bits: 255 is the largest value that Bits Stored allows.
    """

    def read(shape: tuple[int, int]) -> Picture | None:
        of_shape = [image for image in images if (image.grid.rows, image.grid.columns) == shape]
        if len(of_shape) != 1 or of_shape[0].groups is not None or of_shape[0].form.window:
            return None
        grid, form = of_shape[0].grid, of_shape[0].form
        whole = np.zeros((grid.down * grid.tile_rows, grid.across * grid.tile_columns, 3), float)
        numbers = range(grid.down * grid.across)
        try:
            for number, tile in zip(
                numbers, iter_pixels(of_shape[0].path, indices=list(numbers)), strict=True
            ):
                top, left = divmod(number, grid.across)
                place = (
                    slice(top * grid.tile_rows, (top + 1) * grid.tile_rows),
                    slice(left * grid.tile_columns, (left + 1) * grid.tile_columns),
                )
                whole[place] = np.atleast_3d(tile)
        except (AttributeError, NotImplementedError, RuntimeError, ValueError):
            return None
        whole = whole[: grid.rows, : grid.columns] * 255 / ((1 << form.bits_stored) - 1)
        return np.rint(whole).astype(np.uint8)

    return read


def main() -> int:
    """Print the table; 0 when every set is equal or refused in a sentence."""
    folder = Path(os.environ.get("COVERSLIP_DATA", Path(__file__).parents[2] / "shared" / "data"))
    quick = os.environ.get("QUICK") == "1"
    print("| set | transfer syntax | organisation | read by | compared with | result |")
    print("|---|---|---|---|---|---|")
    rows = []
    for name, files in sets(folder):
        row = examine(name, files, quick=quick)
        levels = f"{row.compared_with} ({row.levels} levels)" if row.compared_with else "-"
        fields = (row.name, row.syntax, row.organisation, row.read_by, levels, row.result)
        print(f"| {' | '.join(fields)} |", flush=True)
        rows.append(row)
    failed = [row.name for row in rows if not row.holds]
    equal = sum(row.holds and not row.refusal for row in rows)
    refused = sum(bool(row.refusal) for row in rows)
    print(f"RESULT sets={len(rows)} equal={equal} refused={refused} failed={len(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
