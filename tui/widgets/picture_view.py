"""A still picture in half cells."""

from PIL import Image
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui import picture
from tui.picture import UPPER_HALF, Cell


class PictureView(Widget):
    """Draws a picture as large as it fits, in the middle; nothing while there is none."""

    def __init__(self, *, words_without: str = "No picture yet", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._words_without = words_without
        self._image: Image.Image | None = None
        self._lines: tuple[tuple[Cell, ...], ...] = ()
        self._lines_for: tuple[int, int, int] | None = None

    def show(self, image: Image.Image | None) -> None:
        """Show another picture, or none."""
        if image is not self._image:
            self._image = image
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one line of cells."""
        width, height = self.size
        self._fit(width, height)
        line = y - (height - len(self._lines)) // 2
        if self._image is None:
            return self._word(y, width, height)
        if not 0 <= line < len(self._lines):
            return Strip.blank(width, self.rich_style)
        row = self._lines[line]
        left = (width - len(row)) // 2
        segments = [Segment(" " * left, self.rich_style), *(_segment(cell) for cell in row)]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _fit(self, width: int, height: int) -> None:
        wanted = (id(self._image), width, height)
        if wanted != self._lines_for:
            self._lines_for = wanted
            image = self._image
            self._lines = picture.cells(image, columns=width, rows=height) if image else ()

    def _word(self, y: int, width: int, height: int) -> Strip:
        if y != height // 2:
            return Strip.blank(width, self.rich_style)
        text = self._words_without.center(width)[:width]
        return Strip([Segment(text, self.rich_style)]).adjust_cell_length(width, self.rich_style)


def _segment(cell: Cell) -> Segment:
    style = Style(color=Color.from_rgb(*cell.upper), bgcolor=Color.from_rgb(*cell.lower))
    return Segment(UPPER_HALF, style)
