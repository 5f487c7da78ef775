"""Contact sheets: pictures with players in a notebook, one still picture where it is only looked at."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape

from PIL import Image, ImageDraw

from avlib.notebook.stills import font, to_jpeg

SIDE_PX = 144
_GAP_PX = 12
_LINE_PX = 17
_COLUMNS = 6

_INK, _SOFT, _MARK = "#1d2326", "#5c666b", "#0f6a73"
_SHEET = "display:flex;flex-wrap:wrap;gap:12px;margin:4px 0 8px"
_CLIP = f"margin:0;width:{SIDE_PX}px;font:13px/1.35 system-ui,sans-serif;overflow-wrap:anywhere"
_PICTURE = f"display:block;width:{SIDE_PX}px;height:{SIDE_PX}px;border-radius:6px;object-fit:cover;background:#8883"
_PLAYER = "display:block;width:100%;height:32px;margin:4px 0"


@dataclass(frozen=True)
class Clip:
    """One picture with its sound.

    picture, sound: data URIs, a JPEG and an MP3 or WAV; None where the video is gone.  marked: what a sheet is about.
    """

    title: str
    note: str
    picture: str | None
    sound: str | None
    marked: bool = False


@dataclass(frozen=True)
class ContactSheet:
    """Clips side by side, the value of a notebook's cell.  title: above them."""

    clips: tuple[Clip, ...]
    title: str = ""

    def html(self) -> str:
        """With a player under each picture. Everything is inside it."""
        head = f'<p style="margin:8px 0 4px;font:600 14px system-ui,sans-serif">{escape(self.title)}</p>'
        return f'{head if self.title else ""}<div style="{_SHEET}">{"".join(map(_figure, self.clips))}</div>'

    def still(self) -> Image.Image:
        """The same without sound, on white."""
        rows = -(-len(self.clips) // _COLUMNS)
        columns = max(min(len(self.clips), _COLUMNS), 1)
        head_px = _LINE_PX + 8 if self.title else 0
        step = SIDE_PX + _GAP_PX, SIDE_PX + 2 * _LINE_PX + _GAP_PX + 4
        page = Image.new("RGB", (columns * step[0] + _GAP_PX, head_px + rows * step[1] + _GAP_PX), "white")
        pen = ImageDraw.Draw(page)
        pen.text((_GAP_PX, 6), _fitting(self.title, page.width - 2 * _GAP_PX), _INK, font(13))
        for place, clip in enumerate(self.clips):
            x, y = _GAP_PX + place % _COLUMNS * step[0], head_px + _GAP_PX + place // _COLUMNS * step[1]
            if clip.picture is not None:
                page.paste(opened(clip.picture).resize((SIDE_PX, SIDE_PX)), (x, y))
            if clip.marked:
                pen.rectangle((x - 3, y - 3, x + SIDE_PX + 2, y + SIDE_PX + 2), outline=_MARK, width=3)
            for line, (text, color) in enumerate(((clip.title, _INK), (clip.note, _SOFT))):
                pen.text((x, y + SIDE_PX + 4 + line * _LINE_PX), _fitting(text, SIDE_PX), color, font(12))
        return page

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html(), "image/jpeg": to_jpeg(self.still()), "text/plain": repr(self)}

    def __repr__(self) -> str:
        lines = [self.title] if self.title else []
        return "\n".join([*lines, *(f"{clip.title}, {clip.note}" for clip in self.clips)])


def opened(picture: str) -> Image.Image:
    """A data URI as a picture."""
    return Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))).convert("RGB")


def _figure(clip: Clip) -> str:
    outline = f";outline:3px solid {_MARK};outline-offset:1px" if clip.marked else ""
    image = f'<img src="{clip.picture}" alt="" style="{_PICTURE}{outline}">'
    shown = image if clip.picture else ""
    player = (
        "" if clip.sound is None else f'<audio controls preload="none" src="{clip.sound}" style="{_PLAYER}"></audio>'
    )
    gone = "" if clip.picture or clip.sound else "<i>the video cannot be read</i><br>"
    said = f'<figcaption>{gone}<b>{escape(clip.title)}</b><br><span style="opacity:.75">{escape(clip.note)}</span>'
    return f'<figure style="{_CLIP}">{shown}{player}{said}</figcaption></figure>'


def _fitting(text: str, width_px: int) -> str:
    """As much of a line as fits, with an ellipsis where that is not all."""
    used = font(12)
    if used.getlength(text) <= width_px:
        return text
    while text and used.getlength(text + "…") > width_px:
        text = text[:-1]
    return text.rstrip(" ,") + "…"
