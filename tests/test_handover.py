"""Frames pass from one thread to another: the newest of a camera, all of a file."""

from __future__ import annotations

import threading
import time

import numpy as np

from sources import Frame
from sources.handover import BoundedQueue, LatestFrame


def frame(index):
    return Frame(np.zeros((2, 2, 3), np.uint8), index / 30, index)


def test_a_reader_of_the_slot_gets_the_newest_frame_once():
    slot = LatestFrame()
    for index in range(5):
        slot.put(frame(index))

    assert slot.get(after=-1, timeout=0).index == 4
    assert slot.get(after=4, timeout=0) is None


def test_two_readers_of_the_slot_both_get_the_frame():
    slot = LatestFrame()
    seen = []
    readers = [threading.Thread(target=lambda: seen.append(slot.get(-1, 5).index)) for _ in range(2)]
    for reader in readers:
        reader.start()
    slot.put(frame(7))
    for reader in readers:
        reader.join(5)

    assert seen == [7, 7]


def test_a_closed_slot_still_gives_its_last_frame():
    slot = LatestFrame()
    slot.put(frame(3))
    slot.close()

    assert not slot.finished(after=2)
    assert slot.get(after=2, timeout=0).index == 3
    assert slot.finished(after=3)


def test_the_queue_makes_its_writer_wait_and_loses_nothing():
    items = BoundedQueue(3)
    written = []

    def write():
        for item in range(10):
            items.put(item)
            written.append(item)
        items.close()

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(0.1)
    assert len(written) == 3  # no room for a fourth
    read = []
    while not items.finished():
        item = items.get(timeout=1)
        if item is not None:
            read.append(item)
    writer.join(5)

    assert read == list(range(10))


def test_closing_the_queue_frees_a_waiting_writer():
    items = BoundedQueue(1)
    items.put("first")
    writer = threading.Thread(target=items.put, args=("second",))
    writer.start()
    items.close()
    writer.join(5)

    assert not writer.is_alive()
    assert items.get(0) == "first"
    assert items.finished()
