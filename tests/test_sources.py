"""Files, GIFs, image folders, URIs, and which devices are cameras. Every file is made here."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sources
import sources.opencv
import sources.picamera
from errors import PackageError, SourceError
from sources import find_camera, identity, open_source, public_name
from sources.opencv import LiveCapture, list_usb_cameras
from sources.recording import Recording

ROOT = Path(__file__).resolve().parent.parent
LEVELS = [20, 60, 100, 140, 180, 220]


def write_video(path: Path, levels=LEVELS, fps=10.0, size=(64, 48), codec="mp4v") -> Path:
    """Writes one plain grey frame for each level; size is (width, height)."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
    assert writer.isOpened()
    for level in levels:
        writer.write(np.full((size[1], size[0], 3), level, np.uint8))
    writer.release()
    return path


def write_gif(path: Path, frames, delays, transparent=None) -> Path:
    """Writes colour-table indexes, uint8 [H, W] below 128, as an animated GIF without compression.

    Index 0 is black, 1 red, 2 green, 3 blue. The codes are 8 bits wide from start to end, since the table is cleared
    before it grows. `delays` are hundredths of a second; every frame stays on the canvas (disposal 1).
    """
    height, width = frames[0].shape
    table = bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255]) + bytes(3 * 124)
    data = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF6, 0, 0) + table
    for frame, delay in zip(frames, delays):
        flags = 1 << 2 | (transparent is not None)
        data += b"\x21\xf9\x04" + struct.pack("<BHBB", flags, delay, transparent or 0, 0)
        data += b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x07"
        pixels = frame.tobytes()
        codes = b"".join(b"\x80" + pixels[i : i + 100] for i in range(0, len(pixels), 100)) + b"\x81"
        blocks = [codes[i : i + 255] for i in range(0, len(codes), 255)]
        data += b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    path.write_bytes(data + b"\x3b")
    return path


def read_all(source):
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
        assert len(frames) < 1000
    return frames


def levels_of(frames):
    return [int(np.median(frame.image)) for frame in frames]


def one_line(error) -> str:
    text = str(error.value)
    assert text and "\n" not in text
    return text


# Video files


@pytest.mark.parametrize("name, codec, fps", [("a.mp4", "mp4v", 12.5), ("a.avi", "MJPG", 30.0), ("a.mkv", "MJPG", 5.0)])
def test_a_file_gives_every_frame_in_order_with_its_time(tmp_path, name, codec, fps):
    source = open_source(str(write_video(tmp_path / name, codec=codec, fps=fps)))
    assert (source.name, source.live) == (name, False)
    assert source.fps == pytest.approx(fps)
    frames = read_all(source)
    assert levels_of(frames) == pytest.approx(LEVELS, abs=6)
    assert [frame.index for frame in frames] == list(range(6))
    assert [frame.timestamp for frame in frames] == pytest.approx([i / fps for i in range(6)], abs=0.0011)
    assert all(frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8 for frame in frames)
    assert source.read() is None
    source.close()
    source.close()
    assert source.read() is None


def test_colours_are_blue_green_red(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.full((48, 64, 3), (200, 90, 20), np.uint8))
    writer.release()
    image = open_source(str(tmp_path / "a.avi")).read().image
    assert np.median(image, axis=(0, 1)) == pytest.approx([200, 90, 20], abs=8)


def test_file_uri_with_spaces_and_umlauts(tmp_path):
    path = write_video(tmp_path / "ein Vögelchen: 100%.mp4")
    assert len(read_all(open_source(path.as_uri()))) == 6
    assert len(read_all(open_source(str(path)))) == 6


def test_a_relative_path_with_a_colon_is_not_a_protocol(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4").rename(tmp_path / "12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(read_all(open_source("12:30.mp4"))) == 6


def write_mjpeg(path: Path, levels=LEVELS, size=(64, 48)) -> Path:
    """Writes a bare run of JPEG images, which has neither a clock nor a frame rate."""
    images = [np.full((size[1], size[0], 3), level, np.uint8) for level in levels]
    path.write_bytes(b"".join(cv2.imencode(".jpg", image)[1].tobytes() for image in images))
    return path


def test_odd_sizes(tmp_path):
    """By way of bare JPEGs, since OpenCV writes videos of even sizes only."""
    frames = read_all(open_source(str(write_mjpeg(tmp_path / "a.mjpeg", [90, 160], size=(33, 17)))))
    assert [frame.image.shape for frame in frames] == [(17, 33, 3)] * 2
    assert levels_of(frames) == pytest.approx([90, 160], abs=6)


def test_a_file_of_one_frame(tmp_path):
    frames = read_all(open_source(str(write_video(tmp_path / "a.mp4", [90]))))
    assert [frame.timestamp for frame in frames] == [0]
    assert levels_of(frames) == pytest.approx([90], abs=6)


def test_loop_repeats_with_rising_time(tmp_path):
    source = open_source(str(write_video(tmp_path / "a.mp4", LEVELS[:3])), loop=True)
    frames = [source.read() for _ in range(8)]
    assert levels_of(frames) == pytest.approx((LEVELS[:3] * 3)[:8], abs=6)
    assert [frame.timestamp for frame in frames] == pytest.approx([i / 10 for i in range(8)])
    assert [frame.index for frame in frames] == list(range(8))
    source.close()
    assert source.read() is None


def test_loop_of_a_single_frame(tmp_path):
    source = open_source(str(write_video(tmp_path / "a.mp4", [90], fps=4)), loop=True)
    assert [source.read().timestamp for _ in range(4)] == pytest.approx([0, 0.25, 0.5, 0.75])


def test_loop_over_a_file_that_is_gone_ends(tmp_path):
    path = write_video(tmp_path / "a.mp4")
    source = open_source(str(path), loop=True)
    for _ in LEVELS:
        source.read()
    path.write_bytes(b"")
    with pytest.raises(SourceError):
        source.read()
    assert source.read() is None


def test_rotated_file_is_turned_upright(tmp_path):
    path = tmp_path / "a.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    image = np.full((48, 64, 3), 220, np.uint8)
    image[:, :32] = 30
    writer.write(image)
    writer.release()
    # The track header's matrix takes (x, y) to (-y, x): a quarter turn clockwise, which is how phones film upright.
    data = bytearray(path.read_bytes())
    matrix = data.index(struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30), data.index(b"tkhd"))
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    upright = open_source(str(path)).read().image
    assert upright.shape == (64, 48, 3)
    assert upright[:28].mean() < 60 and upright[36:].mean() > 190


def test_a_file_without_a_clock_plays_at_25_fps(tmp_path):
    frames = read_all(open_source(str(write_mjpeg(tmp_path / "a.mjpeg"))))
    assert levels_of(frames) == pytest.approx(LEVELS, abs=6)
    assert [frame.timestamp for frame in frames] == pytest.approx([i / 25 for i in range(6)], abs=0.002)


@pytest.mark.parametrize("rate", [0, 90000])
def test_an_absurd_frame_rate_plays_at_25_fps(tmp_path, rate):
    path = write_video(tmp_path / "a.avi", codec="MJPG")
    data = bytearray(path.read_bytes())
    stream = data.index(b"strh") + 8
    struct.pack_into("<II", data, stream + 20, 1, rate)  # Scale and rate of the stream header.
    struct.pack_into("<I", data, data.index(b"avih") + 8, 1_000_000 // rate if rate else 0)
    path.write_bytes(data)
    source = open_source(str(path))
    times = [frame.timestamp for frame in read_all(source)]
    assert source.fps == 25
    assert times == pytest.approx([i / 25 for i in range(6)])


def test_a_file_cut_off_gives_what_is_left(tmp_path):
    path = write_video(tmp_path / "a.avi", LEVELS * 5, codec="MJPG", size=(320, 240))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    frames = read_all(open_source(str(path)))
    assert 12 <= len(frames) < 30
    assert levels_of(frames[:12]) == pytest.approx((LEVELS * 2), abs=6)


def bad_files(folder: Path) -> dict[str, Path]:
    files = {name: folder / name for name in ("missing.mp4", "empty.mp4", "random.mp4", "text.mp4", "no_moov.mp4")}
    files["empty.mp4"].write_bytes(b"")
    files["random.mp4"].write_bytes(np.random.default_rng(1).bytes(30_000))
    files["text.mp4"].write_text("this is not a video\n" * 50)
    video = write_video(files["no_moov.mp4"], LEVELS * 5).read_bytes()
    files["no_moov.mp4"].write_bytes(video[: video.index(b"moov") - 4])
    files["sound.wav"] = folder / "sound.wav"
    with wave.open(str(files["sound.wav"]), "wb") as sound:
        sound.setparams((1, 2, 8000, 8000, "NONE", ""))
        sound.writeframes(bytes(16000))
    files["folder without images"] = folder / "texts"
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("a")
    files["folder of broken images"] = folder / "broken"
    (folder / "broken").mkdir()
    (folder / "broken" / "a.jpg").write_bytes(b"no jpeg")
    return files


def test_bad_files_end_in_one_line_that_names_them(tmp_path):
    for kind, path in bad_files(tmp_path).items():
        for loop in (False, True):
            with pytest.raises(SourceError) as error:
                open_source(str(path), loop=loop)
            assert path.name in one_line(error), kind


def test_no_library_writes_to_stderr(tmp_path):
    """In a process of its own, since FFmpeg is told to be quiet when the first video is opened."""
    paths = [str(path) for kind, path in bad_files(tmp_path).items()]
    cut = write_video(tmp_path / "cut.avi", LEVELS * 5, codec="MJPG", size=(320, 240))
    cut.write_bytes(cut.read_bytes()[:-9000])
    code = """if True:
        import sys
        from sources import open_source
        for path in sys.argv[1:]:
            try:
                source = open_source(path)
                while source.read():
                    pass
            except ValueError as error:
                print(error)
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENCV_")}
    command = [sys.executable, "-c", code, *paths, str(cut), "usb:63"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == len(paths) + 1
    # Our own warning about the broken image is all that may be there.
    assert [line for line in done.stderr.splitlines() if "a.jpg" not in line] == []


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)), min_size=1, max_size=20), st.booleans())
@settings(deadline=None)
def test_time_rises_whatever_the_file_says(positions, loop):
    image = np.zeros((2, 2, 3), np.uint8)
    source = Recording("a", 25, lambda: ((image, position) for position in positions), loop)
    times = [source.read().timestamp for _ in positions]
    if loop:
        times += [source.read().timestamp for _ in positions]
    assert times[0] == 0
    assert all(later > earlier for earlier, later in zip(times, times[1:]))


def test_time_goes_on_where_a_joined_file_starts_again():
    image = np.zeros((2, 2, 3), np.uint8)
    positions = [7.0, 7.5, 8.0, 0.0, 0.5, 1.0]
    source = Recording("a", 2, lambda: ((image, position) for position in positions), False)
    assert [frame.timestamp for frame in read_all(source)] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5])


# GIFs


def plain(index):
    return np.full((30, 40), index, np.uint8)


def test_gif_delays_are_kept_and_too_short_ones_are_100_ms(tmp_path):
    path = write_gif(tmp_path / "a.gif", [plain(i) for i in (1, 2, 3, 1, 2, 3)], [10, 50, 0, 1, 20, 30])
    frames = read_all(open_source(str(path)))
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.1, 0.6, 0.7, 0.8, 1.0])
    colours = [tuple(frame.image[15, 20].tolist()) for frame in frames]
    assert colours == [(0, 0, 255), (0, 255, 0), (255, 0, 0)] * 2


def test_gif_of_one_frame(tmp_path):
    frames = read_all(open_source(str(write_gif(tmp_path / "a.gif", [plain(2)], [0]))))
    assert [(frame.timestamp, frame.image.shape) for frame in frames] == [(0, (30, 40, 3))]


def test_transparent_pixels_of_a_gif_show_the_frame_before(tmp_path):
    second = plain(0)
    second[:, 20:] = 3
    path = write_gif(tmp_path / "a.gif", [plain(1), second], [10, 10], transparent=0)
    image = read_all(open_source(str(path)))[1].image
    assert image[15, 5].tolist() == [0, 0, 255] and image[15, 35].tolist() == [255, 0, 0]


def test_gif_loops_at_its_own_pace(tmp_path):
    source = open_source(str(write_gif(tmp_path / "a.gif", [plain(1), plain(2)], [40, 40])), loop=True)
    assert [source.read().timestamp for _ in range(5)] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6])


# Folders of images


def test_folder_plays_in_natural_order(tmp_path):
    for number, level in ((10, 180), (2, 100), (1, 20)):
        cv2.imwrite(str(tmp_path / f"img{number}.png"), np.full((20 + number, 30, 3), level, np.uint8))
    (tmp_path / "notes.txt").write_text("not an image")
    source = open_source(f"{tmp_path}/")
    assert (source.name, source.live, source.fps) == (tmp_path.name, False, 5)
    frames = read_all(source)
    assert levels_of(frames) == [20, 100, 180]
    assert [frame.image.shape[0] for frame in frames] == [21, 22, 30]
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.2, 0.4])


def test_the_current_folder_has_a_name(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    assert open_source(".").name == tmp_path.name


def test_folder_at_another_rate_and_looped(tmp_path):
    for number, level in enumerate((20, 100)):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.full((20, 30), level, np.uint8))
    source = open_source(str(tmp_path), fps=2, loop=True)
    frames = [source.read() for _ in range(5)]
    assert levels_of(frames) == pytest.approx([20, 100, 20, 100, 20], abs=3)
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.5, 1, 1.5, 2])


@pytest.mark.parametrize(
    "pixel, dtype, expected",
    [
        ([77], np.uint8, [77, 77, 77]),
        ([10, 90, 200, 128], np.uint8, [10, 90, 200]),
        ([10 * 257, 90 * 257, 200 * 257], np.uint16, [10, 90, 200]),
    ],
    ids=["grey", "alpha", "16 bits"],
)
def test_every_kind_of_image_becomes_bgr(tmp_path, pixel, dtype, expected):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 9, len(pixel)), pixel, dtype))
    image = open_source(str(tmp_path)).read().image
    assert image.dtype == np.uint8 and image.shape == (8, 9, 3)
    assert image[4, 4].tolist() == expected


def test_unreadable_images_are_left_out_with_one_warning(tmp_path, caplog):
    for number in range(6):
        (tmp_path / f"{number}.png").write_bytes(b"broken")
    for number in (2, 4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8, 3), 10 * number, np.uint8))
    source = open_source(str(tmp_path), loop=True)
    frames = [source.read() for _ in range(6)]
    assert levels_of(frames) == [20, 40] * 3
    assert [frame.timestamp for frame in frames] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert len(caplog.messages) == 1 and "0.png" in caplog.text


def test_loop_over_images_that_are_gone_ends(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    source = open_source(str(tmp_path), loop=True)
    source.read()
    (tmp_path / "a.png").unlink()
    assert source.read() is None


# URIs


@pytest.mark.parametrize("uri", ["ftp://host/video.mp4", "gopher://a:secret@b", "", "  "])
def test_an_unknown_kind_of_source_is_refused(uri):
    with pytest.raises(SourceError) as error:
        open_source(uri)
    assert "secret" not in one_line(error)


@pytest.mark.parametrize(
    "uri, hint",
    [
        ("DEMO", ", did you mean demo?"),
        ("demo:5", ", did you mean demo with --demo-seed N?"),
        ("CSI", ", did you mean csi?"),
        ("usb0", ", did you mean usb:0?"),
        ("demo.mp4", ""),
        ("./demo5", ""),
        ("party", ""),
    ],
)
def test_what_is_no_file_may_have_been_meant_as_another_source(tmp_path, monkeypatch, uri, hint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as error:
        open_source(uri)
    assert one_line(error) == f"{uri}: No such file or directory{hint}; check the path"


def test_a_file_of_such_a_name_is_that_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mp4").rename(tmp_path / "demo:5")
    assert len(read_all(open_source("demo:5"))) == 6


@pytest.mark.parametrize(
    "uri, name",
    [
        ("rtsp://user:secret@10.0.0.7:554/cam/main", "rtsp://10.0.0.7:554/cam/main"),
        ("http://cam.local/video.mjpg?user=me&pwd=secret#x", "http://cam.local/video.mjpg"),
        ("rtsp://10.0.0.7/user=admin&password=secret&channel=1", "rtsp://10.0.0.7/..."),
        ("rtsp://user:sec/ret@10.0.0.7/cam", "rtsp://..."),
        ("http://[::1]:8080/a", "http://[::1]:8080/a"),
        ("a clip?.mp4", "a clip?.mp4"),
        ("usb:0", "usb:0"),
    ],
)
def test_public_name_holds_no_secret(uri, name):
    assert public_name(uri) == name


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12))
def test_no_password_gets_into_a_public_name(noise):
    for password in (f"s3cret{noise}", f"{noise}s3cret"):
        for uri in (f"rtsp://user:{password}@host/cam", f"http://host/cam?pwd={password}", f"http://u@h:1?{password}"):
            assert "s3cret" not in public_name(uri)


# Cameras


def fake_device(root: Path, number: int, name: str, bus: str, index: int = 0) -> None:
    """One video device as the kernel lists it: a link into /sys/devices, whose parent belongs to a bus."""
    parent = root / "devices" / f"{bus}-{name.replace(' ', '-')}"
    device = parent / "video4linux" / f"video{number}"
    device.mkdir(parents=True)
    (device / "name").write_text(f"{name}\n")
    (device / "index").write_text(f"{index}\n")
    (device / "device").symlink_to(parent)
    if not (parent / "subsystem").exists():
        (root / "bus" / bus).mkdir(parents=True, exist_ok=True)
        (parent / "subsystem").symlink_to(root / "bus" / bus)
    (root / "class").mkdir(exist_ok=True)
    (root / "class" / f"video{number}").symlink_to(device)


def test_only_usb_cameras_are_listed(tmp_path):
    """A Raspberry Pi with two webcams, one of them plugged in late."""
    for number, name in ((10, "bcm2835-codec-decode"), (13, "bcm2835-isp"), (19, "rpi-hevc-dec"), (20, "pispbe")):
        fake_device(tmp_path, number, name, "platform")
    fake_device(tmp_path, 24, "HD Pro Webcam C920", "usb", 0)
    fake_device(tmp_path, 25, "HD Pro Webcam C920", "usb", 1)
    fake_device(tmp_path, 2, "USB 2.0 Camera", "usb", 0)
    assert list_usb_cameras(str(tmp_path / "class")) == [(2, "USB 2.0 Camera"), (24, "HD Pro Webcam C920")]


def test_no_camera_is_listed_where_the_kernel_has_none(tmp_path):
    assert list_usb_cameras(str(tmp_path / "nothing")) == []


@pytest.mark.parametrize("uri", ["usb:63", "/dev/video63", "/dev/v4l/by-id/usb-of-video63"])
def test_a_missing_usb_camera_is_answered_with_those_that_exist(uri, monkeypatch):
    monkeypatch.setattr(sources.opencv, "list_usb_cameras", lambda: [(2, "HD Webcam")])
    with pytest.raises(SourceError) as error:
        open_source(uri)
    assert all(word in one_line(error) for word in ("there is no /dev/", "video63; ", "usb:2 (HD Webcam)"))


def no_picamera2():
    raise PackageError("no picamera2")


def test_without_any_camera_one_line_tells_what_was_looked_for(monkeypatch):
    monkeypatch.setattr(sources.picamera, "list_pi_cameras", no_picamera2)
    monkeypatch.setattr(sources.opencv, "list_usb_cameras", list)
    with pytest.raises(SourceError) as error:
        find_camera()
    assert all(word in one_line(error) for word in ("picamera2", "USB camera", "--source"))


def test_the_pi_camera_comes_first(monkeypatch):
    monkeypatch.setattr(sources.picamera, "list_pi_cameras", lambda: [(0, "imx219")])
    monkeypatch.setattr(sources.opencv, "list_usb_cameras", lambda: [(0, "HD Webcam")])
    assert find_camera() == "csi"


class FakeDevices:
    """Stands for V4L2: /dev/video4 is in use, /dev/video6 gives pictures of at most 1280x720."""

    def __init__(self, monkeypatch) -> None:
        self.settings: list[tuple[int, float]] = []
        monkeypatch.setattr(sources.opencv.cv2, "VideoCapture", self.open)
        monkeypatch.setattr(sources.opencv.os.path, "exists", lambda path: path in ("/dev/video4", "/dev/video6"))
        monkeypatch.setattr(sources.opencv.os, "access", lambda path, mode: True)

    def open(self, number, backend):
        assert backend == cv2.CAP_V4L2
        self.number = number
        return self

    def isOpened(self):  # noqa: N802
        return self.number == 6

    def set(self, key, value):
        self.settings.append((key, value))
        return True

    def get(self, key):
        most = {cv2.CAP_PROP_FRAME_WIDTH: 1280, cv2.CAP_PROP_FRAME_HEIGHT: 720, cv2.CAP_PROP_FPS: 30}
        return min(dict(self.settings).get(key, most[key]), most[key])

    def read(self):
        size = int(self.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(self.get(cv2.CAP_PROP_FRAME_WIDTH))
        return True, np.zeros((*size, 3), np.uint8)

    def release(self):
        pass


def test_the_first_usb_camera_that_gives_a_picture_is_taken(monkeypatch):
    FakeDevices(monkeypatch)
    monkeypatch.setattr(sources.picamera, "list_pi_cameras", no_picamera2)
    monkeypatch.setattr(sources.opencv, "list_usb_cameras", lambda: [(2, "gone"), (4, "busy"), (6, "good")])
    assert find_camera() == "usb:6"


def test_a_usb_camera_is_asked_for_640x480_raw(monkeypatch):
    devices = FakeDevices(monkeypatch)
    source = open_source("usb:6")
    assert (source.name, source.live, source.fps) == ("USB camera 6", True, 30)
    assert source.read().image.shape == (480, 640, 3)
    assert cv2.CAP_PROP_FOURCC not in dict(devices.settings)


def test_a_usb_camera_can_be_named_by_a_link(monkeypatch, tmp_path):
    FakeDevices(monkeypatch)
    (tmp_path / "usb-HD_Webcam-video-index0").symlink_to("/dev/video6")
    source = open_source(str(tmp_path / "usb-HD_Webcam-video-index0"))
    assert (source.name, source.live) == ("USB camera 6", True)


def test_two_names_of_a_usb_camera_are_one_source():
    assert identity("usb:6") == identity("/dev/video6") != identity("usb:7")
    assert identity("usb") == identity("/dev/video0")
    link = "/dev/v4l/by-id/usb-HD_Webcam-video-index0"
    assert identity(link) == identity(link) != identity("usb:0")


def test_a_large_usb_picture_is_asked_for_as_jpeg_before_its_size(monkeypatch, caplog):
    devices = FakeDevices(monkeypatch)
    assert open_source("/dev/video6", width=1920, height=1080, fps=15).read().image.shape == (720, 1280, 3)
    keys = [key for key, _ in devices.settings]
    assert dict(devices.settings)[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert keys.index(cv2.CAP_PROP_FOURCC) < keys.index(cv2.CAP_PROP_FRAME_WIDTH)
    assert dict(devices.settings)[cv2.CAP_PROP_FPS] == 15
    assert "1280x720 instead of 1920x1080" in caplog.text


def test_half_a_size_is_completed_to_four_by_three(monkeypatch):
    FakeDevices(monkeypatch)
    assert open_source("usb:6", width=800).read().image.shape == (600, 800, 3)
    assert open_source("usb:6", height=240).read().image.shape == (240, 320, 3)


def test_a_live_source_that_ends_is_given_up_after_the_timeout(tmp_path):
    capture = cv2.VideoCapture(str(write_video(tmp_path / "a.avi", codec="MJPG")), cv2.CAP_FFMPEG)
    source = LiveCapture("camera", capture, read_timeout=0.3)
    frames = [source.read() for _ in LEVELS[1:]]  # The first was taken to see that there is one.
    assert levels_of(frames) == pytest.approx(LEVELS[1:], abs=6)
    assert [frame.index for frame in frames] == list(range(5))
    with pytest.raises(SourceError, match="no frame from camera for 0.3 s"):
        source.read()
    source.close()
    source.close()


def test_a_name_that_is_not_utf8_ends_in_a_line(tmp_path):
    name = os.fsdecode(bytes(tmp_path) + b"/w\xe4ving.avi")
    Path(name).write_bytes(b"")
    with pytest.raises(SourceError, match="not UTF-8"):
        open_source(name)
