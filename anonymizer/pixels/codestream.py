"""Codestreams without their notes: what a decoder needs stays, everything else goes.

Nothing is decoded, so pixels cannot change. What a frame is, is seen from its first bytes: slides
are about whose frames the transfer syntax is wrong.
"""

import struct

from anonymizer.pixels import jpeg, jpeg_2000
from anonymizer.pixels.jpeg import JpegCleaner
from anonymizer.pixels.jpeg_2000 import Jpeg2000Cleaner
from anonymizer.pixels.markers import Block
from appliance.errors import InvalidInstance


class Cleaner:
    """Cleans one frame after another."""

    def __init__(self) -> None:
        self._jpeg = JpegCleaner()
        self._jpeg_2000 = Jpeg2000Cleaner()

    def clean(self, block: Block, start: int, end: int) -> int | bytes:
        """Take out of one encoded frame what is not needed to decode it.

        Parameters
        ----------
        block
            Holds the frame.
        start, end
            Where in the block; padding included.

        Returns
        -------
        int | bytes
            Where the codestream ends when all of it stays as it is; else the new codestream. Bytes
            behind it are for the caller to leave out.

        Raises
        ------
        InvalidInstance
            It is neither JPEG, JPEG-LS nor JPEG 2000, or damaged, or holds a segment that could
            hide something and that no scanner writes.
        """
        try:
            if block.data.startswith(jpeg.START, start, end):
                return self._jpeg.clean(block, start, end)
            if block.data.startswith(jpeg_2000.START, start, end):
                return self._jpeg_2000.clean(block, start, end)
            start, end = jpeg_2000.unwrapped(block, start, end)
            cleaned = self._jpeg_2000.clean(block, start, end)
        except (IndexError, struct.error) as error:
            raise InvalidInstance(
                "A frame of the slide is damaged: its codestream is not well formed."
            ) from error
        return bytes(block.view[start:cleaned]) if isinstance(cleaned, int) else cleaned


def strip(frame: bytes) -> bytes:
    """Clean a single frame, as `Cleaner.clean` does."""
    cleaned = Cleaner().clean(Block(frame), 0, len(frame))
    return frame[:cleaned] if isinstance(cleaned, int) else cleaned
