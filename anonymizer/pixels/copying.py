"""Frames from file to file, many at a time: what is clean is passed on as it lies there.

A run of clean frames, their item headers between them, is one piece of what is written; only a
frame that something must be taken out of is put together anew.
"""

import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

from anonymizer.pixels.items import ITEM, ITEM_HEAD_BYTES, Fragments
from anonymizer.pixels.markers import Block, Masks
from anonymizer.pixels.pipe import BLOCK_BYTES, Piece, Pipe


class Cleaner(Protocol):
    """Takes out of frames what is not needed to decode them."""

    def clean(self, block: Block, start: int, end: int) -> int | bytes:
        """Give where the codestream ends when it stays as it is, else the new one."""


def copy_frames(
    pipe: Pipe,
    fragments: Fragments,
    starts: Sequence[int],
    cleaner: Cleaner,
    done: Callable[[int], None],
) -> "array[int]":
    """Write every frame as one item, and give the lengths of their codestreams.

    Parameters
    ----------
    pipe
        From the source to the new file.
    fragments, starts
        The fragments, and with which of them each frame starts.
    cleaner
        What to do with a frame.
    done
        Told how many bytes were done since it was last told.
    """
    lengths = array("Q")
    masks = Masks()
    if len(starts) == len(fragments):
        for first, last in _runs(fragments):
            _copy_run(pipe, fragments[first:last], cleaner, lengths, masks)
            done(sum(fragments.lengths[first:last]))
        return lengths
    for first, last in pairwise((*starts, len(fragments))):
        _copy_joined(pipe, fragments[first:last], cleaner, lengths)
        done(sum(fragments.lengths[first:last]))
    return lengths


def _runs(fragments: Fragments) -> Iterator[tuple[int, int]]:
    """Split into runs that fit a buffer, or are one fragment."""
    first, size = 0, 0
    for number, length in enumerate(fragments.lengths):
        if size + ITEM_HEAD_BYTES + length > BLOCK_BYTES and number > first:
            yield first, number
            first, size = number, 0
        size += ITEM_HEAD_BYTES + length
    yield first, len(fragments)


def _copy_run(
    pipe: Pipe, fragments: Fragments, cleaner: Cleaner, lengths: "array[int]", masks: Masks
) -> None:
    base = fragments.offsets[0] - ITEM_HEAD_BYTES
    size = fragments.offsets[-1] + fragments.lengths[-1] - base
    data = pipe.read(base, size)
    block = Block(data, size, masks)
    pieces: list[Piece] = []
    clean_from = 0
    for offset, length in zip(fragments.offsets, fragments.lengths, strict=True):
        start, end = offset - base, offset - base + length
        cleaned = cleaner.clean(block, start, end)
        if isinstance(cleaned, int):
            lengths.append(cleaned - start)
            if _is_padded_rightly(data, start, cleaned, end):
                continue
            cleaned = bytes(block.view[start:cleaned])
        else:
            lengths.append(len(cleaned))
        pieces += (block.view[clean_from : start - ITEM_HEAD_BYTES], item(cleaned))
        clean_from = end
    pieces.append(block.view[clean_from:])
    pipe.write(pieces, data)


def _copy_joined(pipe: Pipe, fragments: Fragments, cleaner: Cleaner, lengths: "array[int]") -> None:
    """Write a frame of several fragments."""
    base = fragments.offsets[0]
    size = fragments.offsets[-1] + fragments.lengths[-1] - base
    data = pipe.read(base, size)
    frame = b"".join(
        memoryview(data)[offset - base : offset - base + length]
        for offset, length in zip(fragments.offsets, fragments.lengths, strict=True)
    )
    cleaned = cleaner.clean(Block(frame), 0, len(frame))
    if isinstance(cleaned, int):
        cleaned = frame[:cleaned]
    lengths.append(len(cleaned))
    pipe.write([item(cleaned)], data)


def item(frame: bytes) -> bytes:
    """Write a frame as an item (PS3.5 A.4)."""
    padding = b"\0" * (len(frame) % 2)
    return b"".join((ITEM, struct.pack("<I", len(frame) + len(padding)), frame, padding))


def _is_padded_rightly(data: bytearray, start: int, codestream_end: int, end: int) -> bool:
    """Whether behind the codestream is one zero where the length is odd, and nothing else."""
    padding = (codestream_end - start) % 2
    return end - codestream_end == padding and (not padding or data[end - 1] == 0)
