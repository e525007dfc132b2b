"""A still picture: sharp where the terminal has graphics, in half cells or shades elsewhere.

It is sent to the terminal again only when its cells are drawn again: when another slide is chosen,
or when something was in front of it.
"""

from itertools import count

from PIL import Image
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from tui.terminal import kitty, picture, sixel
from tui.terminal.graphics import Graphics, Terminal
from tui.terminal.picture import UPPER_HALF, Cell

_NUMBERS = count(0x1C05E1)
"""Of kitty's pictures: begins somewhere, since other programs in the terminal have theirs."""

SETTLED_S = 0.3

Lines = tuple[tuple[Segment, ...], ...]


class PictureView(Widget):
    """Draws a picture as large as it fits, in the middle; nothing while there is none.

    Parameters
    ----------
    words_without
        What is said while there is no picture.
    is_sharp
        Whether to use the terminal's graphics where it has them; needs a border below.
    """

    def __init__(
        self,
        *,
        words_without: str = "No picture yet",
        is_sharp: bool = False,
        id: str | None = None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self._words_without = words_without
        self._is_sharp = is_sharp
        self._both: tuple[Image.Image | None, Image.Image | None] = (None, None)
        self._is_bare = False
        self._image: Image.Image | None = None
        self._lines: Lines = ()
        self._drawn_for: object = None
        self._sixels = ""
        self._number = next(_NUMBERS) if is_sharp else 0
        self._way = Graphics.CELLS
        self._is_settled = False
        self._settling: Timer | None = None

    def show(self, image: Image.Image | None, bare: Image.Image | None = None) -> None:
        """Show another picture, or none; `bare` is the same without overlay, where it is known."""
        self._both = (image, bare)
        self._choose()

    def toggle(self) -> None:
        """Take the overlay away, or put it back."""
        self._is_bare = not self._is_bare
        self._choose()

    def _choose(self) -> None:
        image, bare = self._both
        wanted = bare if self._is_bare and bare is not None else image
        if wanted is not self._image:
            self._image = wanted
            self._wait()
            self.refresh()

    def on_resize(self) -> None:
        """Draw in cells until the size stays."""
        self._wait()

    def on_unmount(self) -> None:
        """Let the terminal forget the picture."""
        if self._way is Graphics.KITTY:
            self._send(kitty.removal(self._number))

    def _wait(self) -> None:
        """Draw in cells, and sharply after a moment without changes: hundreds of kB are sent."""
        if self._is_sharp and self._terminal.graphics is not Graphics.CELLS:
            if self._settling is not None:
                self._settling.stop()
            self._settling = self.set_timer(SETTLED_S, self._settled)
            self._is_settled = False

    def _settled(self) -> None:
        self._is_settled = True
        self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the lines that can be seen; sixels only when all of them can."""
        way = self._way_for(is_whole=crop.size == self.outer_size)
        if way is not self._way:
            self._way = way
            self._styles_cache.clear()
        strips = super().render_lines(crop)
        if way is Graphics.SIXEL and self._sixels and strips:
            strips = [*strips[:-1], self._with_sixels(strips[-1])]
        return strips

    def render_line(self, y: int) -> Strip:
        """Draw one line of cells."""
        width, height = self.size
        self._fit(width, height)
        if self._image is None:
            return self._word(y, width, height)
        line = y - (height - len(self._lines)) // 2
        if not 0 <= line < len(self._lines):
            return Strip.blank(width, self.rich_style)
        row = self._lines[line]
        left = (width - sum(segment.cell_length for segment in row)) // 2
        segments = [Segment(" " * left, self.rich_style), *row]
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    @property
    def _terminal(self) -> Terminal:
        found = getattr(self.app, "terminal", None)
        return found if isinstance(found, Terminal) else Terminal()

    def _way_for(self, *, is_whole: bool) -> Graphics:
        # Under a dialog the screen is drawn from its cells, dimmed.
        if not (self._is_settled and self._image and self.screen.is_active):
            return Graphics.CELLS
        wanted = self._terminal.graphics
        if wanted is Graphics.KITTY and self.app.console.color_system != "truecolor":
            return Graphics.CELLS  # the colours of its cells are the picture's number
        return wanted if is_whole or wanted is not Graphics.SIXEL else Graphics.CELLS

    def _fit(self, width: int, height: int) -> None:
        wanted = (id(self._image), width, height, self._way)
        if wanted == self._drawn_for:
            return
        self._drawn_for = wanted
        if self._image is None or not (width and height):
            self._lines = ()
        elif self._way is Graphics.CELLS:
            self._lines = self._in_cells(self._image, width, height)
        else:
            self._lines = self._in_pixels(self._image, width, min(height, len(kitty.ROWS)))

    def _in_cells(self, image: Image.Image, width: int, height: int) -> Lines:
        if self.app.no_color:
            rows = picture.shades(image, columns=width, rows=height).splitlines()
            return tuple((Segment(row, self.rich_style),) for row in rows)
        rows_of_cells = picture.cells(image, columns=width, rows=height)
        return tuple(tuple(_segment(cell) for cell in row) for row in rows_of_cells)

    def _in_pixels(self, image: Image.Image, width: int, height: int) -> Lines:
        terminal = self._terminal
        sharp = picture.scaled(
            image, width=width * terminal.cell_width, height=height * terminal.cell_height
        )
        columns = -(-sharp.width // terminal.cell_width)
        rows = -(-sharp.height // terminal.cell_height)
        if self._way is Graphics.SIXEL:
            self._sixels = sixel.encode(sharp)
            return ((Segment(" " * columns, self.rich_style),),) * rows
        self._send(kitty.transmission(sharp, number=self._number, columns=columns, rows=rows))
        ink = self.rich_style + Style(color=Color.from_rgb(*kitty.colour(self._number)))
        return tuple((Segment(kitty.row_of_cells(row, columns), ink),) for row in range(rows))

    def _with_sixels(self, border: Strip) -> Strip:
        """Let the border below draw the picture where it is, and come back to the cursor."""
        room = self.content_region
        columns = sum(segment.cell_length for segment in self._lines[0])
        left = room.x + (room.width - columns) // 2
        top = room.y + (room.height - len(self._lines)) // 2
        sequence = f"\x1b7\x1b[{top + 1};{left + 1}H{self._sixels}\x1b8"
        return _carrying(border, sequence, self.app.console)

    def _send(self, sequence: str) -> None:
        # The driver's writer keeps it whole: what Textual draws is written there too.
        driver = self.app._driver  # noqa: SLF001
        if driver is not None:
            driver.write(sequence)

    def _word(self, y: int, width: int, height: int) -> Strip:
        if y != height // 2:
            return Strip.blank(width, self.rich_style)
        text = self._words_without.center(width)[:width]
        return Strip([Segment(text, self.rich_style)]).adjust_cell_length(width, self.rich_style)


def _segment(cell: Cell) -> Segment:
    style = Style(color=Color.from_rgb(*cell.upper), bgcolor=Color.from_rgb(*cell.lower))
    return Segment(UPPER_HALF, style)


def _carrying(border: Strip, sequence: str, console: Console) -> Strip:
    """Let the first cell of the border below carry a sequence to the terminal.

    A cell is written exactly when it is drawn again, after the blank cells above it, and nothing
    cuts it; so the sequence is written whole, and never without need. Its style is the one place
    where Textual lets something pass that takes no room.
    """
    corner, rest = border.divide([1, border.cell_length])
    segment = next((one for one in corner if one.text), None)
    if segment is None or not segment.style:
        return border
    own = Strip([segment]).render(console).partition("m")[0].removeprefix("\x1b[")
    style = segment.style.copy()
    style._ansi = f"0m{sequence}\x1b[{own}"  # noqa: SLF001
    return Strip([Segment(segment.text, style), *rest], border.cell_length)
