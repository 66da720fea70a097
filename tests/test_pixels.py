"""Pixel formats, on pictures computed by the definition of each format."""

from __future__ import annotations

import numpy as np
import pytest
from fake_picamera2 import BYTES, encode

from sources.pixels import FORMATS, to_bgr


def picture(width, height):
    """Random colours, the same within each 2x2 pixels, so that halving their resolution loses nothing."""
    blocks = np.random.default_rng(1).integers(0, 256, (height // 2, width // 2, 3), np.uint8)
    return blocks.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("padding", [0, 2, 64, 90])
@pytest.mark.parametrize("size", [(64, 48), (230, 172), (62, 46), (2, 2), (34, 6)])
@pytest.mark.parametrize("pixel_format", BYTES)
def test_every_pixel_has_its_colour(pixel_format, size, padding):
    expected = picture(*size)
    stride = size[0] * BYTES[pixel_format] + padding
    # Memory may be larger than the picture.
    buffer = np.concatenate([encode(expected, pixel_format, stride), np.full(100, 7, np.uint8)])
    image = to_bgr(buffer, pixel_format, size, stride)
    assert image.dtype == np.uint8 and image.flags.c_contiguous
    # Rounded to 219 levels of light and 224 of colour, each primary is off by 2.3 at most.
    tolerance = 3 if pixel_format in ("YUV420", "NV12") else 0
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= tolerance


def test_published_colour_bars():
    """The well-known values of BT.601's colour bars of 75 %: Y, Cb, Cr against R, G, B."""
    bars = {
        (180, 128, 128): (191, 191, 191),
        (162, 44, 142): (191, 191, 0),
        (131, 156, 44): (0, 191, 191),
        (112, 72, 58): (0, 191, 0),
        (84, 184, 198): (191, 0, 191),
        (65, 100, 212): (191, 0, 0),
        (35, 212, 114): (0, 0, 191),
        (16, 128, 128): (0, 0, 0),
    }
    for (light, blue, red), colour in bars.items():
        nv12 = np.uint8([light] * 4 + [blue, red])
        i420 = np.uint8([light] * 4 + [blue] + [red])
        for pixel_format, buffer in (("NV12", nv12), ("YUV420", i420)):
            image = to_bgr(buffer, pixel_format, (2, 2), 2)
            assert np.abs(image[..., ::-1].astype(int) - colour).max() <= 2


def test_no_format_is_left_untested():
    assert set(FORMATS) == set(BYTES)
