"""Records a clip of each event, from some seconds before it began."""

from __future__ import annotations

import atexit
import math
import threading
import time
from dataclasses import dataclass
from typing import Sequence

import numpy as np

from errors import UserError
from events import Event
from events.clip_file import ClipFile
from events.clips_folder import ClipsFolder, clip_name
from events.pre_roll import Kept, PreRoll, compress
from sinks.video_file import find_encoder, import_av
from utils import say
from video_classifier import Prediction

POST_ROLL = 1.0  # seconds that a clip goes on after its event
LONGEST = 60.0  # seconds after its event's start at which a clip ends at the latest
_FPS = 15.0  # of clips, at most
_EARLY = 0.25 / _FPS  # seconds by which a picture may come before it is due: cameras aren't exact
_AT_ONCE = 4  # clips of a source
_MEMORY = 32_000_000  # bytes of compressed pictures
_WAIT = 0.5  # seconds between two looks for clips whose source has fallen silent
_PATIENCE = 2.0  # seconds to wait for the encoder where nothing is to be skipped
_DRAIN, _JOIN = 1.2, 1.9  # seconds at the end for the pictures that wait, and for everything


@dataclass
class _Clip:
    """A clip that isn't finished.

    Attributes:
        name: Of its file.
        start: When its event began, by the recorder's clock.
        next: Number of the next picture to write.
        until: Timestamp of the last picture that belongs to it, by the recorder's clock.
        ended: When its event ended, by the monotonic clock; None while it lasts.
        file: None before the first picture.
    """

    name: str
    start: float
    next: int
    until: float
    ended: float | None = None
    file: ClipFile | None = None


class ClipRecorder:
    """A sink that keeps one source's last seconds in memory and writes a video of each event.

    A thread of its own compresses the pictures, 15 a second at most, and writes the clips. It skips pictures when it
    can't keep up, so that neither the main thread nor memory (32 MB of compressed pictures) suffers.

    Args:
        folder: Where clips go, shared by the recorders of all sources.
        pre_roll: Seconds that a clip shows before its event's start.
        notice: Seconds after its start at which an event is announced at the latest; earlier pictures are kept for so
            much longer.
        patient: Whether to wait for the encoder rather than skip pictures: for a file that plays as fast as it can.

    Attributes:
        wants_pictures: Always.

    Raises:
        PackageError: PyAV is missing, or was built without an encoder.
    """

    wants_pictures = True

    def __init__(
        self, folder: ClipsFolder, *, pre_roll: float = 3.0, notice: float = 3.0, patient: bool = False
    ) -> None:
        find_encoder(import_av())  # now, not at the first event
        self._folder = folder
        self._pre_roll = pre_roll
        self._patient = patient
        self._changed = threading.Condition()  # guards everything below
        self._kept = PreRoll(pre_roll + notice, _MEMORY)
        self._clips: dict[str, _Clip] = {}  # by the event's id
        self._fresh: tuple[float, np.ndarray] | None = None  # not compressed yet
        self._busy = False
        self._offset = 0.0  # from the source's clock to ours, which never goes back
        self._newest = -math.inf
        self._due = -math.inf  # when the next picture is to be kept
        self._cost = 0.0  # seconds that writing a picture takes
        self._deadline: float | None = None  # of the monotonic clock, for the pictures that wait; None: we go on
        self._thread = threading.Thread(target=self._work, name="clips", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # PyAV crashes if Python ends while a container is open

    def write(self, picture: np.ndarray, timestamp: float, predictions: Sequence[Prediction]) -> None:
        """Takes one shown frame.

        Args:
            picture: uint8 [H, W, 3] BGR. Not to be modified afterwards.
            timestamp: Seconds. A clock that goes back is taken to stand still.
            predictions: Not used: they are drawn on the picture.
        """
        if not math.isfinite(timestamp) or self._deadline is not None:
            return
        with self._changed:
            self._offset += max(0.0, self._newest - (timestamp + self._offset))
            self._newest = max(self._newest, timestamp + self._offset)
            if self._newest < self._due - _EARLY:
                return
            self._due = max(self._due + 1 / _FPS, self._newest + 0.5 / _FPS)
            if self._patient:
                self._changed.wait_for(self._is_idle, _PATIENCE)
            self._fresh = self._newest, picture
            self._changed.notify_all()

    def no_signal(self, seconds: float) -> None:
        """Does nothing: in a clip, the last picture stands until the next one."""

    def begin(self, event: Event) -> str | None:
        """Begins the clip of an event that has been announced.

        Returns:
            The name that the file will have some time after the event's end, if it can be written and until it is
            deleted for newer ones; None if too many clips of this source are being written.
        """
        with self._changed:
            if event.id in self._clips:
                return self._clips[event.id].name
            if len(self._clips) >= _AT_ONCE or self._deadline is not None:
                return None
            start = event.position + self._offset
            if self._newest > -math.inf:
                start = min(start, self._newest)
            first = self._kept.since(start - self._pre_roll)
            clip = _Clip(clip_name(event), start, first, start + LONGEST)
            self._clips[event.id] = clip
            self._changed.notify_all()
            return clip.name

    def end(self, event: Event) -> None:
        """Ends an event's clip, a second after the event or now, whichever is later."""
        with self._changed:
            clip = self._clips.get(event.id)
            if clip is None or clip.ended is not None:
                return
            clip.until = min(clip.until, max(clip.start + event.duration + POST_ROLL, self._newest))
            clip.ended = time.monotonic()
            self._changed.notify_all()

    @property
    def done(self) -> bool:
        """Whether all clips are finished and none can follow."""
        return not self._thread.is_alive()

    def finish(self) -> None:
        """Begins to finish the clips, with fewer pictures a second if there is no time for all. May be repeated."""
        with self._changed:
            if self._deadline is None:
                self._deadline = time.monotonic() + _DRAIN
            self._changed.notify_all()

    def close(self) -> None:
        """Finishes the clips, within 2 s of the first call of finish() or of this one. May be repeated."""
        self.finish()
        assert self._deadline is not None
        self._thread.join(max(0.0, self._deadline + _JOIN - _DRAIN - time.monotonic()))
        atexit.unregister(self.close)

    def _work(self) -> None:
        """The thread: compresses what is new, else writes on at a clip."""
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(self._has_work, _WAIT if self._clips else None)
                fresh, self._fresh = self._fresh, None
                event_id, kept = (None, None) if fresh else self._choose()
                if kept is not None and event_id is not None:
                    self._clips[event_id].next = kept.number + self._stride()
                self._busy = True
                if fresh is None and event_id is None and self._deadline is not None:
                    return
            if fresh is not None:
                self._keep(*fresh)
            elif event_id is not None:
                self._go_on(event_id, kept)

    def _keep(self, timestamp: float, picture: np.ndarray) -> None:
        data = compress(picture)
        with self._changed:
            self._kept.append(timestamp, data, min((clip.next for clip in self._clips.values()), default=None))

    def _go_on(self, event_id: str, kept: Kept | None) -> None:
        """Writes a picture of a clip, or finishes it."""
        clip = self._clips[event_id]
        try:
            if kept is not None and self._add(clip, kept):
                return
            if clip.file is not None and clip.file.close():
                self._folder.report(None)
            if kept is not None:
                say(f"clips: {clip.name}: {self._fate(clip)}")
        except (OSError, UserError) as error:
            if clip.file is not None:
                clip.file.discard()
            self._folder.report(error)
        with self._changed:
            del self._clips[event_id]

    def _add(self, clip: _Clip, kept: Kept) -> bool:
        """Writes a picture; returns whether the clip goes on."""
        if clip.file is None:
            frames = math.ceil((self._pre_roll + LONGEST) * _FPS) + 2
            clip.file = ClipFile(self._folder.create(clip.name), _FPS, frames)
            return clip.file.write(kept.picture(), kept.timestamp)
        start = time.monotonic()
        goes_on = clip.file.write(kept.picture(), kept.timestamp)
        self._cost += 0.2 * (time.monotonic() - start - self._cost)
        return goes_on

    @staticmethod
    def _fate(clip: _Clip) -> str:
        assert clip.file is not None
        if clip.file.frames:
            return f"cut short after {clip.file.frames} pictures: the limit of the folder leaves no room for more"
        return "dropped: the limit of the folder leaves no room for it"

    def _has_work(self) -> bool:
        return self._fresh is not None or self._deadline is not None or self._choose()[0] is not None

    def _is_idle(self) -> bool:
        return not self._busy and not self._has_work()

    def _choose(self) -> tuple[str | None, Kept | None]:
        """Chooses the clip that is furthest behind, and its next picture; None for the picture: finish the clip."""
        for event_id, clip in sorted(self._clips.items(), key=lambda item: item[1].next):
            kept = self._next_of(clip)
            if kept is not None:
                return event_id, kept
            if self._is_over(clip):
                return event_id, None
        return None, None

    def _next_of(self, clip: _Clip) -> Kept | None:
        """Returns the picture to write next, if it is here and there is time for it."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            return None
        kept = self._kept.at(clip.next)
        return kept if kept is not None and kept.timestamp <= clip.until else None

    def _is_over(self, clip: _Clip) -> bool:
        """Returns whether a clip that has no next picture will never have one."""
        if self._deadline is not None or self._kept.at(clip.next) is not None:
            return True
        return clip.ended is not None and time.monotonic() - clip.ended > POST_ROLL + _WAIT

    def _stride(self) -> int:
        """Returns every how manieth picture to write: 1, unless the program ends and there is no time for all."""
        if self._deadline is None:
            return 1
        waiting = sum(self._kept.count(clip.next) for clip in self._clips.values())
        left = max(self._deadline - time.monotonic(), 1e-3)
        return max(1, math.ceil(waiting * self._cost / left))
