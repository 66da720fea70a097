"""Work for the worker processes of tests: it stands in for a codec that crashes, or a machine without memory."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from archive.analyser import Analysis
from errors import ModelError, SourceError


@dataclass(frozen=True)
class Acting:
    """A Job: each file tells by its name what it does to who reads it.

    Attributes:
        notes: Folder in which every reading leaves a file.
        crash_at_start: Whether the process dies before its first file.
    """

    notes: str
    crash_at_start: bool = False

    def open(self):
        if self.crash_at_start:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._act

    def _act(self, file, beat):
        act = file.name.split("-")[0]
        earlier = list(Path(self.notes).glob(f"{file.name}.*"))
        (Path(self.notes) / f"{file.name}.{len(earlier)}").write_text(str(os.getpid()))
        if act == "crash" or (act == "unlucky" and not earlier):
            os.kill(os.getpid(), signal.SIGSEGV)
        if act == "exit":
            os._exit(3)
        if act == "unreadable":
            raise SourceError("it is no video")
        if act == "strange":
            raise ValueError("something\nnobody thought of")
        if act == "model":
            raise ModelError("the model is damaged")
        if act == "slow":
            time.sleep(60)
        if act == "patient":
            for _ in range(40):
                time.sleep(0.2)
                beat()
        return Analysis((), "x" * 300_000 if act == "large" else "", 1, 1, 1.0, 0.0)
