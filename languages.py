"""The language that labels are shown in: which one, and the names in it. Everything else goes on in English."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Mapping, Sequence

from errors import ModelError, UserError
from utils import read_labels, say

LANGUAGES = ("en", "ko", "ja", "es")
NAMES = {"en": "English", "ko": "Korean", "ja": "Japanese", "es": "Spanish"}

# Of these variables the first that is set and not empty decides, as POSIX has it.
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")


def choose_language(flag: str | None, environ: Mapping[str, str]) -> str:
    """Returns one of LANGUAGES.

    Args:
        flag: What --lang says; None to go by the environment.
        environ: Environment variables: ko_KR.UTF-8 is Korean; C, POSIX and languages that we don't have are English.

    Raises:
        UserError: The flag names none of LANGUAGES.
    """
    if flag is not None:
        if flag not in LANGUAGES:
            raise UserError(f"--lang {flag}: there is {', '.join(LANGUAGES)}")
        return flag
    locale = next((environ[name] for name in _VARIABLES if environ.get(name)), "")
    language = re.split(r"[_.@-]", locale.lower())[0]
    return language if language in LANGUAGES else "en"


def translated(labels_file: Path, names: Sequence[str], lang: str) -> list[str] | None:
    """Returns the names in another language, from the file STEM.LANG.txt beside the label file.

    Args:
        labels_file: Where the names are from.
        names: In the order of the model's logits.
        lang: One of LANGUAGES.

    Returns:
        As many names in the same order; None where there are none: for English, for a label file without translation,
        and for one that has another number of names.
    """
    if lang == "en":
        return None
    try:
        found = read_labels(_translation(labels_file, lang))
    except ModelError:
        return None
    return found if len(found) == len(names) else None


def shown_names(flag: str, labels_file: Path, names: Sequence[str]) -> tuple[str, list[str] | None]:
    """Returns the language in which names are shown, and the names in it; says so where there are none.

    Args:
        flag: What --lang says: "auto" to go by the environment.
        labels_file: See translated().
        names: Likewise.

    Raises:
        UserError: The flag names none of LANGUAGES.
    """
    lang = choose_language(None if flag == "auto" else flag, os.environ)
    found = translated(labels_file, names, lang)
    if found is None and lang != "en":
        say(untranslated(labels_file, names, lang))
    return lang, found


def untranslated(labels_file: Path, names: Sequence[str], lang: str) -> str:
    """Returns the line that tells a user why translated() has found nothing."""
    wanted = _translation(labels_file, lang)
    return f"labels: no {wanted.name} with {len(names)} names beside {labels_file.name}; they are shown as they are"


def display_width(text: str) -> int:
    """Returns how many columns of a terminal a text takes: two for a Chinese, Japanese or Korean letter."""
    return sum(_columns(letter) for letter in text)


def shorten(text: str, columns: int) -> str:
    """Returns the text if it fits into so many columns, else its beginning with "…" at the end."""
    if display_width(text) <= columns:
        return text
    room = columns - 1  # without the dots
    for place, letter in enumerate(text):
        room -= _columns(letter)
        if room < 0:
            return text[:place].rstrip(" (（") + "…"
    return text


def _translation(labels_file: Path, lang: str) -> Path:
    return labels_file.with_name(f"{labels_file.stem}.{lang}.txt")


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
