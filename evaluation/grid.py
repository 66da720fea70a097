"""Aligned columns of text, whatever the script of the labels."""

from __future__ import annotations

import unicodedata
from typing import Sequence

_GAP = 3


def grid(rows: Sequence[Sequence[str]], right: bool = False) -> str:
    """Returns rows of cells as lines; a row may lack cells at its end.

    Args:
        rows: The cells.
        right: Align all columns but the first at their right.
    """
    columns = max(map(len, rows), default=0)
    widths = [max((columns_of(row[place]) for row in rows if len(row) > place), default=0) for place in range(columns)]
    text = ""
    for row in rows:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths)):
            space = " " * (width - columns_of(cell))
            cells.append(space + cell if right and place else cell + space)
        text += (" " * _GAP).join(cells).rstrip() + "\n"
    return text


def columns_of(text: str) -> int:
    """Returns how many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
