"""Labels as names of folders: as they are, but for what can't stand in a file name here or on a PC."""

from __future__ import annotations

import re
import unicodedata

from errors import UserError

_MOST_BYTES = 200  # of a folder's name; file systems take 255
_FORBIDDEN = '/\\:*?"<>|'  # in file names of Linux or Windows, to which clips may be copied
_UNSAFE_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are not UTF-8, line breaks
_ESCAPE = re.compile(r"(?:%[0-9A-F]{2})+")


def folder_name(label: str) -> str:
    """Returns the name of a label's folder: "tai chi" stays, "on/off" becomes "on%2Foff", as in a URL.

    It has no separator, no dot or space at its begin or end, and `label_of` gives the label back.
    """
    last = len(label) - 1
    return "".join(
        _escape(letter) if _is_unsafe(letter, at, last, label) else letter for at, letter in enumerate(label)
    )


def label_of(name: str) -> str:
    """Returns the label that a folder's name stands for; a name that `folder_name` can't have made is the label."""
    try:
        label = _ESCAPE.sub(lambda match: _decode(match.group()), name)
    except UnicodeDecodeError:
        return name
    return label if folder_name(label) == name else name


def check_label(text: str) -> str:
    """Returns a label as the user means it, without spaces around it, each accented letter as one character.

    Raises:
        UserError: It is empty, too long, or can't be a line of a label file.
    """
    label = unicodedata.normalize("NFC", text.strip())
    if not label:
        raise UserError("a label is empty; name what is to be seen, such as --label waving")
    if any(unicodedata.category(letter) in _UNSAFE_CATEGORIES for letter in label):
        raise UserError(f"label {text!r} has a line break or a control character in it; give it another name")
    if len(folder_name(label).encode()) > _MOST_BYTES:
        raise UserError(f"label {label[:30] + '...'!r} is too long; give it a name of a few words")
    return label


def _is_unsafe(letter: str, at: int, last: int, label: str) -> bool:
    if letter == "%":  # only where it would be read as the begin of an escape
        return _ESCAPE.match(label, at) is not None
    if letter in _FORBIDDEN or unicodedata.category(letter) in _UNSAFE_CATEGORIES:
        return True
    return at in (0, last) and (letter == "." or letter.isspace())


def _escape(letter: str) -> str:
    return "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))


def _decode(escapes: str) -> str:
    return bytes.fromhex(escapes.replace("%", "")).decode("utf-8", "surrogatepass")
