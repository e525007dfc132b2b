"""Read what left, exactly as it left: tar shards, DICOM tiles, plain pictures."""

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import pydicom
from PIL import Image, JpegImagePlugin
from pydicom import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import pixel_array

from anonymizer.attack.tile_set import RGB, TileSet
from appliance.errors import ConfigError

_PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
_LONGEST_FACT: Final = 256
_DICOM_PREAMBLE_BYTES: Final = 132


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    name: str
    time: float
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    file: _File
    pixels: RGB
    encoding: str
    plain_size_bytes: int | None
    facts: dict[str, str] = field(default_factory=dict)


def read_released(paths: Sequence[Path]) -> TileSet:
    """Read folders, shards or files as one release, in the order of the paths.

    Parameters
    ----------
    paths
        Folders are read whole, file by file in the order of their names; a shard member by member,
        in the order in which they lie in it.

    Returns
    -------
    TileSet
        The square pictures of the most frequent size; all other pictures are `others`.

    Raises
    ------
    ConfigError
        A path is missing, a picture does not open, or there are fewer than two tiles.
    """
    facts: dict[str, dict[str, str]] = {}
    pictures = []
    for path in paths:
        for file in _files(path):
            if file.name.endswith(".json"):
                facts[_stem(file.name)] = _json_facts(file.content)
            elif (picture := _picture(file)) is not None:
                pictures.append(picture)
    sides = Counter(
        picture.pixels.shape[0]
        for picture in pictures
        if picture.pixels.shape[0] == picture.pixels.shape[1]
    )
    if not sides or max(sides.values()) < 2:  # noqa: PLR2004 - an attack needs a pair
        raise ConfigError("There are fewer than two square tiles of one size to attack.")
    side = max(sides, key=lambda size: sides[size])
    tiles = [picture for picture in pictures if picture.pixels.shape[:2] == (side, side)]
    others = {
        picture.file.name: picture.pixels
        for picture in pictures
        if picture.pixels.shape[:2] != (side, side)
    }
    return _tile_set(tiles, facts, others)


def read_picture(path: Path) -> RGB:
    """Read one plain picture, such as an overview. ConfigError: it is missing or does not open."""
    if not path.is_file():
        raise ConfigError(f"{path} is not a file.")
    return _plain(_File(name=path.name, time=0.0, content=path.read_bytes())).pixels


def _tile_set(
    tiles: Sequence[_Picture], facts: dict[str, dict[str, str]], others: dict[str, RGB]
) -> TileSet:
    told = [{**facts.get(_stem(tile.file.name), {}), **tile.facts} for tile in tiles]
    names = sorted({name for one in told for name in one})
    columns = {name: tuple(one.get(name, "") for one in told) for name in names}
    ids = tuple(PurePosixPath(_stem(tile.file.name)).name for tile in tiles)
    plain = [tile.plain_size_bytes for tile in tiles]
    return TileSet(
        pixels=np.stack([tile.pixels for tile in tiles]),
        names=tuple(tile.file.name for tile in tiles),
        ids=ids,
        sizes_bytes=np.array([len(tile.file.content) for tile in tiles], dtype=np.int64),
        times=np.array([tile.file.time for tile in tiles]),
        tables=tuple(tile.encoding for tile in tiles),
        plain_sizes_bytes=None if None in plain else np.array(plain, dtype=np.int64),
        facts={name: values for name, values in columns.items() if _tells(values, ids)},
        others=others,
    )


def _tells(values: Sequence[str], ids: Sequence[str]) -> bool:
    """Tell whether a fact differs between tiles, and is not their name once more."""
    named = all(value.strip('"') == name for value, name in zip(values, ids, strict=True))
    return len(set(values)) > 1 and not named


def _files(path: Path) -> Iterator[_File]:
    if path.is_dir():
        for inner in sorted(path.rglob("*")):
            if inner.is_file():
                for file in _files(inner):
                    yield _File(
                        name=f"{inner.relative_to(path).parent.as_posix()}/{file.name}".removeprefix(
                            "./"
                        ),
                        time=file.time,
                        content=file.content,
                    )
    elif not path.is_file():
        raise ConfigError(f"{path} is neither a folder nor a file.")
    elif path.suffix == ".tar":
        yield from _members(path)
    else:
        yield _File(name=path.name, time=path.stat().st_mtime, content=path.read_bytes())


def _members(path: Path) -> Iterator[_File]:
    try:
        with tarfile.open(path) as shard:
            for member in shard:
                content = shard.extractfile(member)
                if content is not None:
                    name = f"{path.name}/{member.name}"
                    yield _File(name=name, time=float(member.mtime), content=content.read())
    except tarfile.TarError as error:
        raise ConfigError(f"{path} is not a shard that opens.") from error


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _json_facts(content: bytes) -> dict[str, str]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {f"json {name}": json.dumps(value)[:_LONGEST_FACT] for name, value in found.items()}


def _picture(file: _File) -> _Picture | None:
    """Decode a picture; None: the file is none."""
    if PurePosixPath(file.name).suffix.lower() in _PICTURES:
        return _plain(file)
    if file.content[_DICOM_PREAMBLE_BYTES - 4 : _DICOM_PREAMBLE_BYTES] == b"DICM":
        return _dicom(file)
    return None


def _plain(file: _File) -> _Picture:
    try:
        with Image.open(io.BytesIO(file.content)) as image:
            return _Picture(
                file=file,
                pixels=np.asarray(image.convert("RGB")),
                encoding=_encoding(image),
                plain_size_bytes=_plain_size(image),
                facts={
                    f"picture {name}": str(value)[:_LONGEST_FACT]
                    for name, value in image.info.items()
                },
            )
    except (OSError, SyntaxError) as error:
        raise ConfigError(f"{file.name} is not a picture that opens.") from error


def _encoding(image: Image.Image) -> str:
    """Digest of everything about the encoding that is the same for equal settings."""
    said: list[object] = [image.format, image.mode]
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        tables = {number: list(table) for number, table in image.quantization.items()}
        said += [tables, JpegImagePlugin.get_sampling(image), "progression" in image.info]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _plain_size(image: Image.Image) -> int | None:
    """Length of the picture when its pixels are encoded again with its own settings."""
    buffer = io.BytesIO()
    if image.format == "JPEG":
        image.save(buffer, "JPEG", quality="keep")
    elif image.format == "PNG":
        image.save(buffer, "PNG")
    else:
        return None
    return buffer.tell()


def _dicom(file: _File) -> _Picture:
    try:
        dataset = pydicom.dcmread(io.BytesIO(file.content))
        facts = dict(_elements(dataset))
        if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            pixels = convert_color_space(
                pixel_array(dataset), dataset.PhotometricInterpretation, "RGB"
            )
            rgb = np.ascontiguousarray(pixels, dtype=np.uint8)
            return _Picture(file=file, pixels=rgb, encoding="", plain_size_bytes=None, facts=facts)
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    except (InvalidDicomError, AttributeError, ValueError, StopIteration) as error:
        raise ConfigError(f"{file.name} is not a DICOM picture of one frame.") from error
    inner = _plain(_File(name=file.name, time=file.time, content=frame))
    return _Picture(
        file=file,
        pixels=inner.pixels,
        encoding=inner.encoding,
        plain_size_bytes=inner.plain_size_bytes,
        facts=facts,
    )


def _elements(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Give every element but the pixels as text; which of them differ is seen later."""
    for element in dataset.iterall():
        if element.keyword != "PixelData" and element.VR != "SQ":
            yield element.keyword or str(element.tag), str(element.value)[:_LONGEST_FACT]
