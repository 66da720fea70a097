"""What the bytes of a camera's picture mean: libcamera's formats as blue, green, red."""

from __future__ import annotations

import cv2
import numpy as np

# One plane: bytes a pixel, and what makes BGR of it. libcamera's names count from the highest byte, so that "RGB888"
# lies in memory as blue, green, red.
_PACKED = {
    "RGB888": (3, None),
    "BGR888": (3, cv2.COLOR_RGB2BGR),
    "XRGB8888": (4, cv2.COLOR_BGRA2BGR),
    "XBGR8888": (4, cv2.COLOR_RGBA2BGR),
}
# Luminance, and colour at half the size: behind it in two planes (YUV420), or in one plane of pairs (NV12).
_PLANAR = {"YUV420": cv2.COLOR_YUV2BGR_I420, "NV12": cv2.COLOR_YUV2BGR_NV12}
FORMATS = (*_PACKED, *_PLANAR)


def to_bgr(buffer: np.ndarray, pixel_format: str, size: tuple[int, int], stride: int) -> np.ndarray:
    """Makes an image of a camera's buffer.

    Args:
        buffer: uint8 [at least the picture's bytes]. Where nothing has to be converted, the image is a part of it.
        pixel_format: One of FORMATS; of those with luminance the values are BT.601's, 16 to 235.
        size: (width, height) in pixels, both even.
        stride: Bytes from one row to the next, of the first plane: rows may end in padding.

    Returns:
        uint8 [height, width, 3] BGR, contiguous.
    """
    width, height = size
    if pixel_format in _PACKED:
        depth, conversion = _PACKED[pixel_format]
        image = _rows(buffer, height, stride)[:, : width * depth].reshape(height, width, depth)
        return np.ascontiguousarray(image) if conversion is None else cv2.cvtColor(image, conversion)
    planes = _rows(buffer, height * 3 // 2, stride)
    if pixel_format == "NV12":
        return cv2.cvtColor(planes[:, :width], _PLANAR[pixel_format])
    # The rows of YUV420's colour planes are half as long, two of them to a row here: so the padding is cut off last.
    return np.ascontiguousarray(cv2.cvtColor(planes, _PLANAR[pixel_format])[:, :width])


def _rows(buffer: np.ndarray, rows: int, stride: int) -> np.ndarray:
    return buffer[: rows * stride].reshape(rows, stride)
