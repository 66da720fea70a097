"""The registry, the search for models and labels, and the download, against a real server that misbehaves."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import os
import pty
import random
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_server import (
    HostileServer,
    chunked,
    garbage,
    hang_up,
    part,
    redirect,
    silence,
    status,
    unsized,
    whole,
)

import models
from clip_format import ClipSettings, known_settings
from errors import ModelError, OutputError
from models import Model, find_labels, find_model, known_model, registry, table
from models.fetch import fetch
from models.progress import ProgressLine

ROOT = Path(__file__).resolve().parent.parent


def fake_model(seed: int, size: int = 300_000) -> bytes:
    """A file that begins like a .tflite one; random, so that it doesn't compress."""
    return b"\x1c\0\0\0TFL3" + random.Random(seed).randbytes(size - 8)


DATA = fake_model(1)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "MOVINET_MIRROR":
            monkeypatch.delenv(name)


@contextlib.contextmanager
def serving(**answers):
    """A server whose /name gives that answer, or those answers one after another."""
    lists = {f"/{name}": answer if isinstance(answer, list) else [answer] for name, answer in answers.items()}
    with HostileServer(lists) as server:
        yield server


def described(*urls: str, data: bytes | None = DATA, name: str = "movinet_test") -> Model:
    """A registry entry for `data`; None for one whose length and checksum nobody knows."""
    return Model(
        name=name,
        alias="test",
        urls=urls,
        input_size=172,
        fps=5,
        labels="kinetics600.txt",
        licence="Apache-2.0",
        source="https://example.org/movinet",
        bytes=None if data is None else len(data),
        sha256=None if data is None else hashlib.sha256(data).hexdigest(),
    )


def tar_gz(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_refused(folder: Path, model: Model, *reasons: str, timeout: float = 5) -> str:
    """Asserts that fetching fails in one line with these reasons and leaves nothing under the model's name."""
    with pytest.raises(ModelError) as caught:
        fetch(model, folder, timeout=timeout)
    message = str(caught.value)
    assert "\n" not in message
    assert model.source in message and str(folder / model.file) in message, "it says what to do"
    for reason in reasons:
        assert reason in message
    assert model.file not in names(folder)
    return message


# What a server may rightly send


@pytest.mark.parametrize(
    "answer",
    [
        whole(DATA),
        whole(DATA, etag=None),
        chunked(DATA),
        unsized(DATA),
        whole(tar_gz(("1.tflite", DATA))),
        whole(tar_gz(("README.md", b"hello"), ("./1.tflite", DATA))),
        unsized(tar_gz(("1.tflite", DATA))),
    ],
    ids=["bare", "no ETag", "chunked", "no length", "tar.gz", "tar.gz with more", "tar.gz, no length"],
)
def test_fetches_the_bare_file_and_the_archive(tmp_path, answer):
    with serving(a=answer) as server:
        path = fetch(described(server.url("/a")), tmp_path)
    assert path == tmp_path / "movinet_test.tflite"
    assert path.read_bytes() == DATA
    assert names(tmp_path) == [path.name], "no partial or temporary file stays"
    assert path.stat().st_mode & 0o044 == 0o044, "others may read it, as with any downloaded file"


def test_progress_reaches_the_total(tmp_path):
    calls = []
    with serving(a=whole(DATA)) as server:
        fetch(described(server.url("/a")), tmp_path, lambda received, total: calls.append((received, total)))
    assert {total for _, total in calls} == {len(DATA)}
    received = [count for count, _ in calls]
    assert received == sorted(received) and received[-1] == len(DATA)


def test_follows_redirects(tmp_path):
    with serving(a=redirect("/b"), b=redirect("c"), c=whole(DATA)) as server:
        assert fetch(described(server.url("/a")), tmp_path).read_bytes() == DATA
    assert [exchange.path for exchange in server.exchanges] == ["/a", "/b", "/c"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1:1/a"])
def test_follows_no_redirect_away_from_http(tmp_path, target):
    with serving(a=redirect(target)) as server:
        message = assert_refused(tmp_path, described(server.url("/a"), data=None))
    assert "root:" not in message


@pytest.mark.parametrize("url", ["file:///etc/passwd", "/etc/passwd", "ftp://127.0.0.1:1/a", "http://", "http://["])
def test_fetches_over_http_only(tmp_path, url):
    assert_refused(tmp_path, described(url, data=None))


def test_no_redirect_from_https_to_http(tmp_path, monkeypatch):
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command for a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*make.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    folder = tmp_path / "models"
    folder.mkdir()
    with serving(a=whole(DATA)) as plain, serving(b=redirect(plain.url("/a")), c=whole(DATA)) as tls:
        tls.socket = context.wrap_socket(tls.socket, server_side=True)
        assert_refused(folder, described(tls.url("/c")), "certificate")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert_refused(folder, described(tls.url("/b")), "https to http")
        assert not plain.exchanges
        assert fetch(described(tls.url("/c")), folder).read_bytes() == DATA


def test_goes_through_the_proxy_of_the_environment(tmp_path, monkeypatch):
    with HostileServer({"http://models.invalid/a": [whole(DATA)]}) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url("/"))
        assert fetch(described("http://models.invalid/a"), tmp_path).read_bytes() == DATA


# Broken off, and continued


def test_continues_a_truncated_download(tmp_path):
    with serving(a=[part(DATA, 100_000), whole(DATA)]) as server:
        assert fetch(described(server.url("/a")), tmp_path).read_bytes() == DATA
    first, second = server.exchanges
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=100000-"
    assert second.headers["if-range"] == '"1"'
    assert second.sent == len(DATA) - 100_000, "only the rest is sent"


def test_continues_in_a_later_run(tmp_path):
    with serving(a=[part(DATA, 100_000), status(503), whole(DATA)]) as server:
        model = described(server.url("/a"))
        assert_refused(tmp_path, model, "503")
        assert names(tmp_path) == ["movinet_test.tflite.part"]
        assert fetch(model, tmp_path).read_bytes() == DATA
    assert server.exchanges[-1].sent == len(DATA) - 100_000
    assert names(tmp_path) == ["movinet_test.tflite"]


def test_continues_by_date_where_there_is_no_etag(tmp_path):
    date = "Wed, 01 Jan 2025 00:00:00 GMT"
    dated = whole(DATA, etag=None, check=False, **{"Last-Modified": date})

    def cut(handler):
        handler.begin(200, {"Content-Length": len(DATA), "Last-Modified": date})
        handler.send(DATA[:100_000])

    with serving(a=[cut, dated]) as server:
        assert fetch(described(server.url("/a")), tmp_path).read_bytes() == DATA
    assert server.exchanges[1].headers["if-range"] == date
    assert server.exchanges[1].sent == len(DATA) - 100_000


@pytest.mark.parametrize("etag", [None, 'W/"1"'], ids=["no ETag", "weak ETag"])
def test_starts_over_where_nobody_can_tell_whether_the_file_changed(tmp_path, etag):
    with serving(a=[part(fake_model(2), 100_000, etag=etag), whole(DATA, etag=etag)]) as server:
        assert fetch(described(server.url("/a"), data=None), tmp_path).read_bytes() == DATA
    assert "range" not in server.exchanges[1].headers


def test_starts_over_where_the_server_ignores_range(tmp_path):
    with serving(a=[part(DATA, 100_000), whole(DATA, ranges=False)]) as server:
        assert fetch(described(server.url("/a")), tmp_path).read_bytes() == DATA
    assert server.exchanges[1].headers["range"] and server.exchanges[1].sent == len(DATA)


@pytest.mark.parametrize("check", [True, False], ids=["server heeds If-Range", "server ignores If-Range"])
def test_starts_over_when_the_file_changed_meanwhile(tmp_path, check):
    old, new = fake_model(2), fake_model(3)
    with serving(a=[part(old, 100_000, etag='"old"'), whole(new, etag='"new"', check=check)]) as server:
        # Without a checksum only the ETag can tell that these are two files.
        assert fetch(described(server.url("/a"), data=None), tmp_path).read_bytes() == new


def test_never_continues_with_another_address(tmp_path):
    old, new = fake_model(2), fake_model(3)
    with serving(a=[part(old, 100_000), status(500)], b=whole(new)) as server:
        model = described(server.url("/a"), server.url("/b"), data=None)
        assert fetch(model, tmp_path).read_bytes() == new


def test_starts_over_when_the_file_became_shorter(tmp_path):
    new = fake_model(3, size=50_000)
    with serving(a=[part(DATA, 100_000), whole(new, etag='"new"', check=False)]) as server:
        assert fetch(described(server.url("/a"), data=None), tmp_path).read_bytes() == new


def test_starts_over_when_the_server_sends_another_part(tmp_path):
    def wrong(handler):
        handler.begin(206, {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}", "ETag": '"1"'})
        handler.send(DATA[5:])

    with serving(a=[part(DATA, 100_000), wrong, whole(DATA)]) as server:
        assert fetch(described(server.url("/a")), tmp_path).read_bytes() == DATA


def test_ignores_a_partial_file_of_another_kind(tmp_path):
    (tmp_path / "movinet_test.tflite.part").write_bytes(DATA[:100_000])
    with serving(a=whole(DATA)) as server:
        assert fetch(described(server.url("/a")), tmp_path).read_bytes() == DATA
    assert "range" not in server.exchanges[0].headers


def test_continues_after_a_reset(tmp_path):
    with serving(a=[part(DATA, 100_000, then="reset"), whole(DATA)]) as server:
        path = fetch(described(server.url("/a")), tmp_path, lambda received, total: received and server.read.set())
        assert path.read_bytes() == DATA
    start = int(re.fullmatch(r"bytes=(\d+)-", server.exchanges[1].headers["range"])[1])
    assert 0 < start <= 100_000
    assert server.exchanges[1].sent == len(DATA) - start


def test_continues_after_a_missing_end_of_chunks(tmp_path):
    with serving(a=[chunked(DATA[:120_000], complete=False), whole(DATA)]) as server:
        assert fetch(described(server.url("/a")), tmp_path).read_bytes() == DATA


def test_gives_up_on_a_server_that_breaks_off_every_time(tmp_path):
    with serving(a=part(DATA, 100_000)) as server:
        assert_refused(tmp_path, described(server.url("/a")), "broke off after 100,000 of 300,000 bytes")
    assert len(server.exchanges) < 10


# Servers that are silent, slow, or endless


@pytest.mark.parametrize("answer", [silence, part(DATA, 100_000, then="silence")], ids=["no answer", "in the middle"])
def test_a_silent_server_is_left(tmp_path, answer):
    started = time.monotonic()
    with serving(a=answer, b=whole(DATA)) as server:
        path = fetch(described(server.url("/a"), server.url("/b")), tmp_path, timeout=0.3)
    assert path.read_bytes() == DATA
    assert time.monotonic() - started < 10


def test_continues_after_a_silence(tmp_path):
    with serving(a=[part(DATA, 100_000, then="silence"), whole(DATA)]) as server:
        assert fetch(described(server.url("/a")), tmp_path, timeout=0.3).read_bytes() == DATA
        assert server.exchanges[1].sent == len(DATA) - 100_000


def test_a_server_that_trickles_is_left(tmp_path):
    with serving(a=unsized(b"x", repeat=200, pause=0.05)) as server:
        assert_refused(tmp_path, described(server.url("/a")), "slower than", timeout=0.3)
    assert server.exchanges[0].sent < 100


def test_an_endless_body_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("models.transfer.LARGEST", 1_000_000)
    with serving(a=unsized(DATA, repeat=100_000)) as server:
        assert_refused(tmp_path, described(server.url("/a")), "more than 1 MB")
    assert names(tmp_path) == []


def test_a_huge_file_is_not_begun(tmp_path):
    with serving(a=part(DATA, len(DATA), length=10**10, then="silence")) as server:
        assert_refused(tmp_path, described(server.url("/a")), "10000 MB")
    assert names(tmp_path) == []


# Wrong files and wrong answers


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (whole(fake_model(2)), "wrong content"),
        (whole(DATA[:-1]), "wrong length, 299,999 bytes instead of 300,000"),
        (part(DATA, 299_000, length=299_000), "wrong length, 299,000"),
        (whole(DATA + b"x"), "wrong length, 300,001"),
        (whole(b"<!DOCTYPE html><title>Sign in</title>"), "a web page"),
        (whole(b"\r\n  <html>"), "a web page"),
        (whole(b"version https://git-lfs.github.com/spec/v1"), "something else than a TensorFlow Lite model"),
        (whole(b""), "nothing"),
        (whole(tar_gz(("1.tflite", fake_model(2)))), "wrong content"),
        (whole(tar_gz(("1.tflite", b"<html>"))), "a web page"),
    ],
)
def test_a_wrong_file_is_refused_and_deleted(tmp_path, answer, reason):
    with serving(a=answer) as server:
        assert_refused(tmp_path, described(server.url("/a")), reason)
    assert names(tmp_path) == []


@pytest.mark.parametrize("answer", [whole(b"<html>"), whole(b"TFL3TFL3"[:6]), part(b"<html>" + DATA, 6, length=6)])
def test_what_is_no_model_is_refused_even_where_no_checksum_is_known(tmp_path, answer):
    with serving(a=answer) as server:
        assert_refused(tmp_path, described(server.url("/a"), data=None))
    assert names(tmp_path) == []


def test_a_length_that_is_too_long_costs_one_more_request(tmp_path):
    lying = part(DATA, len(DATA), length=len(DATA) + 1000)
    with serving(a=[lying, whole(DATA)]) as server:
        assert fetch(described(server.url("/a")), tmp_path).read_bytes() == DATA
    assert [exchange.sent for exchange in server.exchanges] == [len(DATA), 0]
    assert server.exchanges[1].headers["range"] == f"bytes={len(DATA)}-"


def test_a_length_that_is_always_too_long_is_refused(tmp_path):
    with serving(a=part(DATA, len(DATA), length=len(DATA) + 1000)) as server:
        assert_refused(tmp_path, described(server.url("/a")), "broke off after 300,000 of 301,000 bytes")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(403), "HTTP 403 Forbidden"),
        (status(404), "HTTP 404 Not Found"),
        (status(500), "HTTP 500 Internal Server Error"),
        (status(204), "HTTP 204"),
        (status(206), "HTTP 206"),
        (status(799), "HTTP 799"),
        (garbage, "not a valid answer"),
        (hang_up, "connection closed"),
        (whole(fake_model(2)), "wrong content"),
    ],
)
def test_the_next_address_is_tried_and_every_reason_told(tmp_path, answer, reason):
    with serving(a=answer, b=whole(DATA), c=status(418)) as server:
        bad, good, teapot = (server.url(path) for path in ("/a", "/b", "/c"))
        message = assert_refused(tmp_path, described(bad, teapot), reason, "418")
        assert message.count("127.0.0.1: ") == 2
        assert fetch(described(bad, teapot, good), tmp_path).read_bytes() == DATA


def test_nobody_listens(tmp_path):
    with serving(a=silence) as server:
        url = server.url("/a")
    message = assert_refused(tmp_path, described(url, url + "b"), "Connection refused")
    assert message.count("Connection refused") == 1, "the same reason is told once"
    assert names(tmp_path) == []


def test_a_password_in_an_address_is_never_told(tmp_path, monkeypatch):
    for mirror in ("http://anna:sesame@127.0.0.1:1", "http://anna:sesame@[", "http://127.0.0.1:sesame", "sesame:"):
        monkeypatch.setenv("MOVINET_MIRROR", mirror)
        assert "sesame" not in assert_refused(tmp_path, described("http://127.0.0.1:1/a"))


def test_a_mirror_may_ask_for_a_password_which_goes_nowhere_else(tmp_path, monkeypatch):
    with serving(a=whole(DATA)) as other:
        answers = [part(DATA, 100_000), redirect(other.url("/a"))]
        with serving(**{"movinet_test.tflite": answers}) as server:
            monkeypatch.setenv("MOVINET_MIRROR", server.url("").replace("//", "//anna%40home:open%20sesame@"))
            assert fetch(described("http://127.0.0.1:1/a"), tmp_path).read_bytes() == DATA
    first, second = server.exchanges
    wanted = "Basic " + base64.b64encode(b"anna@home:open sesame").decode()
    assert first.headers["authorization"] == second.headers["authorization"] == wanted
    assert second.headers["range"] == "bytes=100000-", "it goes on with what it had from there"
    assert "authorization" not in other.exchanges[0].headers


def test_a_password_stands_in_no_file(tmp_path, monkeypatch):
    with serving(**{"movinet_test.tflite": part(DATA, 100_000)}) as server:
        monkeypatch.setenv("MOVINET_MIRROR", server.url("").replace("//", "//anna:sesame@"))
        assert_refused(tmp_path, described("http://127.0.0.1:1/a"))
    assert b"sesame" not in (tmp_path / "movinet_test.tflite.part").read_bytes()[:200]


# Archives that are traps


@pytest.mark.parametrize("name", ["../../evil.tflite", "/tmp/evil_movinet.tflite", "a/../../../evil.tflite"])
def test_a_name_in_an_archive_is_not_trusted(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with serving(a=whole(tar_gz((name, DATA)))) as server:
        assert fetch(described(server.url("/a")), folder).read_bytes() == DATA
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [folder / "movinet_test.tflite"]
    assert not Path("/tmp/evil_movinet.tflite").exists()


def odd_member(kind: bytes, linkname: str = "", size: int = 0) -> bytes:
    info = tarfile.TarInfo("1.tflite")
    info.type, info.linkname, info.size = kind, linkname, size
    return gzip.compress(info.tobuf() + bytes(2048))


def sparse_member(size: int) -> bytes:
    """An archive of a few bytes that claims a file with 512 bytes of data and as many zeros as asked for."""
    info = tarfile.TarInfo("1.tflite")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 512)
    header[483:495] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + DATA[:512] + bytes(1024))


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (tar_gz(("1.tflite", DATA), ("2.tflite", DATA)), "2 .tflite files"),
        (tar_gz(("1.tflite", DATA), ("1.tflite", DATA)), "2 .tflite files"),
        (tar_gz(("saved_model.pb", DATA)), "0 .tflite files"),
        (tar_gz(), "0 .tflite files"),
        (odd_member(tarfile.SYMTYPE, "/etc/passwd"), "0 .tflite files"),
        (odd_member(tarfile.LNKTYPE, "/etc/passwd"), "0 .tflite files"),
        (odd_member(tarfile.CHRTYPE), "0 .tflite files"),
        (odd_member(tarfile.DIRTYPE), "0 .tflite files"),
        (odd_member(tarfile.REGTYPE, size=2**33), "damaged"),
        (sparse_member(2**27), "damaged"),
        (tar_gz(("1.tflite", DATA))[:-1000], "damaged"),
        (gzip.compress(tar_gz(("1.tflite", DATA))), "damaged"),
        (gzip.compress(DATA), "damaged"),
        (b"\x1f\x8b", "damaged"),
        (b"\x1f\x8b" + DATA, "damaged"),
    ],
    ids=lambda value: "archive" if isinstance(value, bytes) else value,  # the bytes hold the time of day
)
def test_an_archive_with_anything_but_one_model_is_refused(tmp_path, archive, reason):
    with serving(a=whole(archive)) as server:
        assert_refused(tmp_path, described(server.url("/a"), data=None), reason)
    assert names(tmp_path) == []


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    zeros = gzip.compress(bytes(10**7), compresslevel=9)
    bomb = zeros * 300  # gzip files one after another are one gzip file: 3 GB from 3 MB
    started = time.monotonic()
    with serving(a=whole(bomb)) as server:
        assert_refused(tmp_path, described(server.url("/a"), data=None), "more than 67 MB")
    assert names(tmp_path) == []
    assert time.monotonic() - started < 20


# The folder


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with serving(a=whole(DATA)) as server:
        for folder in (tmp_path / "file", tmp_path / "missing"):
            with pytest.raises(OutputError, match="can't write .*movinet_test"):
                fetch(described(server.url("/a")), folder)
    assert not server.exchanges, "nothing is downloaded in vain"


def test_a_folder_without_permission(tmp_path):
    user = os.geteuid()
    tmp_path.chmod(0o555)
    if user == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            fetch(described("http://127.0.0.1:1/a"), tmp_path)
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("room", [100_000, 300_200], ids=["while it downloads", "while it is put in place"])
def test_a_full_disk(tmp_path, room):
    # A limit on the size of files stops the writer as a full disk does. In the second case the partial file, which
    # is the smaller one, fits, but the model unpacked from it doesn't.
    code = f"""
import resource, sys
from test_models import *
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
try:
    fetch(described(sys.argv[1], data=None), Path(sys.argv[2]))
except OutputError as error:
    print(error)
"""
    squeezed = tar_gz(("1.tflite", DATA + bytes(100_000)))
    paths = [str(ROOT), str(ROOT / "tests")]
    with serving(a=whole(squeezed)) as server:
        result = subprocess.run(
            [sys.executable, "-c", code, server.url("/a"), str(tmp_path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert re.fullmatch(r"can't write .*movinet_test\.tflite.*: File too large; .*free space\n", result.stdout)
        assert names(tmp_path) == ["movinet_test.tflite.part"]
        assert fetch(described(server.url("/a"), data=None), tmp_path).read_bytes() == DATA + bytes(100_000)
    assert sum(exchange.sent for exchange in server.exchanges[1:]) < len(squeezed), "what had fitted was not lost"


def test_a_model_that_is_here_is_not_fetched_again(tmp_path):
    model = described("http://127.0.0.1:1/a")
    (tmp_path / model.file).write_bytes(DATA)
    assert fetch(model, tmp_path).read_bytes() == DATA


def test_another_file_of_that_name_is_neither_taken_nor_touched(tmp_path):
    model = described("http://127.0.0.1:1/a")
    (tmp_path / model.file).write_bytes(b"mine")
    with pytest.raises(ModelError, match="not the published file"):
        fetch(model, tmp_path)
    assert (tmp_path / model.file).read_bytes() == b"mine"


def test_many_fetches_at_once_download_once(tmp_path):
    def slow(handler):
        handler.begin(200, {"Content-Length": len(DATA), "ETag": '"1"'})
        for start in range(0, len(DATA), 50_000):
            handler.send(DATA[start : start + 50_000])
            time.sleep(0.05)

    results = []
    with serving(a=slow) as server:
        model = described(server.url("/a"))
        call = lambda: results.append(fetch(model, tmp_path).read_bytes())  # noqa: E731
        threads = [threading.Thread(target=call) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert results == [DATA] * 5
    assert len(server.exchanges) == 1
    assert names(tmp_path) == [model.file]


def test_a_waiting_fetch_loses_nothing_when_the_first_one_fails(tmp_path):
    def refuse_late(handler):
        handler.server.read.wait(10)
        status(404)(handler)

    def failing_fetch():
        with pytest.raises(ModelError):
            fetch(model, tmp_path)

    with serving(a=[refuse_late, part(DATA, 100_000), status(500)]) as server:
        model = described(server.url("/a"))
        first, second = threading.Thread(target=failing_fetch), threading.Thread(target=failing_fetch)
        first.start()
        second.start()
        time.sleep(0.3)
        server.read.set()
        first.join(20)
        second.join(20)
    assert len(server.exchanges) == 3
    assert (tmp_path / "movinet_test.tflite.part").stat().st_size > 100_000


# The command, in a copy of the program, so that models/ of this checkout stays as it is


@pytest.fixture
def program(tmp_path):
    folder = tmp_path / "program"
    fetched = shutil.ignore_patterns("*.tflite", "*.part", "__pycache__")
    shutil.copytree(ROOT / "models", folder / "models", ignore=fetched)
    for file in ("environment.py", "errors.py", "utils.py"):
        shutil.copy(ROOT / file, folder)
    return folder


def start(program: Path, *arguments: str, mirror: str = "http://127.0.0.1:1", **options) -> subprocess.Popen:
    environment = {**os.environ, "MOVINET_MIRROR": mirror}
    options = {"cwd": program, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.Popen([sys.executable, "-m", "models", *arguments], env=environment, **options)


def run(program: Path, *arguments: str, **options) -> tuple[int, str, str]:
    with start(program, *arguments, **options) as process:
        output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_command_fetches_by_alias_name_and_file(program):
    other = fake_model(2)
    with serving(**{f"movinet_{name}.tflite": whole(other) for name in ("a1_int8", "a2_int8", "a0_float16")}) as server:
        code, output, errors = run(program, "fetch", "a1,movinet_a2_int8.tflite", "a0-float16", mirror=server.url("/"))
    assert (code, output) == (0, "")
    files = ["movinet_a0_float16.tflite", "movinet_a1_int8.tflite", "movinet_a2_int8.tflite"]
    assert [name for name in names(program / "models") if ".tflite" in name] == files
    assert all((program / "models" / file).read_bytes() == other for file in files)
    assert "\r" not in errors and "\x1b" not in errors, "no redrawing in a log file"
    assert [line.split()[-1] for line in errors.splitlines()].count("MB") == 3


def test_command_all_and_none(program):
    code, output, errors = run(program, "fetch", "none")
    assert (code, output, errors) == (0, "", "")
    with serving(**{model.file: status(404) for model in registry().values()}) as server:
        code, _, errors = run(program, "fetch", "all", mirror=server.url(""))
    assert code == 1
    assert len(errors.splitlines()) == len(registry())
    assert all(line.startswith("warning: can't fetch ") and "404" in line for line in errors.splitlines())


def test_command_one_failure_does_not_stop_the_others(program):
    answers = {"movinet_a0_int8.tflite": status(500), "movinet_a1_int8.tflite": whole(DATA)}
    with serving(**answers) as server:
        code, _, errors = run(program, "fetch", "a0", "a1", mirror=server.url(""))
    assert code == 1
    assert errors.count("warning: ") == 1 and "movinet_a0_int8" in errors
    assert (program / "models" / "movinet_a1_int8.tflite").read_bytes() == DATA


def test_command_refuses_an_unknown_name_before_it_fetches(program):
    with serving(**{"movinet_a1_int8.tflite": whole(DATA)}) as server:
        code, _, errors = run(program, "fetch", "a1", "b7", mirror=server.url(""))
    assert code == 2 and "'b7'" in errors and "movinet_a0_int8" in errors
    assert not server.exchanges


def test_command_lists_from_any_folder(program, tmp_path):
    (program / "models" / "movinet_a1_int8.tflite").write_bytes(DATA)
    code, output, _ = run(program, "list")
    assert code == 0
    assert re.search(r"movinet_a1_int8 .* yes ", output) and re.search(r"movinet_a0_int8 .* no ", output)
    by_path = subprocess.run([sys.executable, program / "models", "list"], cwd="/", capture_output=True, text=True)
    assert (by_path.returncode, by_path.stdout) == (0, output)


def test_command_ctrl_c_leaves_what_is_needed_to_go_on(program):
    answers = [part(DATA, 100_000, then="silence"), whole(DATA)]
    partial = program / "models" / "movinet_a1_int8.tflite.part"
    with serving(**{"movinet_a1_int8.tflite": answers}) as server:
        with start(program, "fetch", "a1", mirror=server.url("")) as process:
            deadline = time.monotonic() + 20
            while not (partial.exists() and partial.stat().st_size > 100_000) and time.monotonic() < deadline:
                time.sleep(0.02)
            stopped = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
            assert time.monotonic() - stopped < 5
        assert process.returncode == 130
        assert "Traceback" not in errors and "goes on from there" in errors
        code, _, _ = run(program, "fetch", "a1", mirror=server.url(""))
        assert code == 0
        assert server.exchanges[1].sent == len(DATA) - 100_000
    assert (program / "models" / "movinet_a1_int8.tflite").read_bytes() == DATA
    assert not partial.exists()


def test_command_two_processes_at_once(program):
    with serving(**{"movinet_a1_int8.tflite": part(DATA, 200_000, then="silence"), "a": silence}) as server:
        first = start(program, "fetch", "a1", mirror=server.url(""))
        try:
            deadline = time.monotonic() + 20
            while not server.exchanges and time.monotonic() < deadline:
                time.sleep(0.02)
            # The first holds the file; killed, it leaves it to the second, which goes on from there.
            server.answers["/movinet_a1_int8.tflite"] = [whole(DATA)]
            second = start(program, "fetch", "a1", mirror=server.url(""))
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(1)
            assert len(server.exchanges) == 1, "the second waits"
        finally:
            first.kill()
            first.communicate()
        second.communicate(timeout=30)
        assert second.returncode == 0
        assert server.exchanges[1].headers["range"].startswith("bytes=")
    assert (program / "models" / "movinet_a1_int8.tflite").read_bytes() == DATA


def test_command_draws_one_line_on_a_terminal(program):
    reader, terminal = pty.openpty()
    with serving(**{"movinet_a1_int8.tflite": whole(DATA), "movinet_a2_int8.tflite": status(404)}) as server:
        with start(program, "fetch", "a1,a2", mirror=server.url(""), stderr=terminal) as process:
            os.close(terminal)
            shown = b""
            with contextlib.suppress(OSError):  # how a terminal without writers ends
                while data := os.read(reader, 4096):
                    shown += data
            process.wait(30)
    os.close(reader)
    # What a terminal would show at last: each redraw clears its line.
    lines = [line.split("\x1b[K")[-1] for line in shown.decode().rstrip().split("\r\n")]
    assert len(lines) == 2, "a line each"
    assert "100%" in lines[0] and "0.3 of 0.3 MB" in lines[0] and "MB/s" in lines[0]
    assert lines[1].startswith("warning: can't fetch movinet_a2_int8")


def test_progress_line_fits_a_narrow_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "40")
    screen = Terminal()
    with ProgressLine("movinet_a0_float16", screen) as progress:
        progress(0, 7_600_000)
        progress(7_600_000, 7_600_000)
    assert all(len(line) < 40 for line in re.split(r"\r\x1b\[K|\n", screen.getvalue()))


# Finding a model and its labels


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Empty models/ and labels/, and a current folder of its own."""
    for name in ("models", "labels", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(models, "MODELS", tmp_path / "models")
    monkeypatch.setattr(models, "LABELS", tmp_path / "labels")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    monkeypatch.setenv("MOVINET_MIRROR", "http://127.0.0.1:1")
    (tmp_path / "labels" / "kinetics600.txt").write_text("a\n")
    return tmp_path


def test_finds_a_file_by_path_or_bare_name(shelf):
    (shelf / "models" / "mine.tflite").write_bytes(DATA)
    (shelf / "here" / "other.tflite").write_bytes(DATA)
    assert find_model("other.tflite").resolve() == shelf / "here" / "other.tflite"
    assert find_model("~/other.tflite") == shelf / "here" / "other.tflite"
    assert find_model(str(shelf / "here" / "other.tflite")) == shelf / "here" / "other.tflite"
    assert find_model("mine.tflite") == shelf / "models" / "mine.tflite"
    assert find_model("mine") == shelf / "models" / "mine.tflite"
    assert find_model("../models/mine.tflite").resolve() == shelf / "models" / "mine.tflite"


def test_the_current_folder_comes_before_models(shelf):
    for folder in ("models", "here"):
        (shelf / folder / "movinet_a0_int8.tflite").write_bytes(DATA)
    assert find_model("movinet_a0_int8.tflite").resolve() == shelf / "here" / "movinet_a0_int8.tflite"
    assert find_model("a0") == shelf / "models" / "movinet_a0_int8.tflite"


@pytest.mark.parametrize("name", ["a1", "movinet_a1_int8", "movinet_a1_int8.tflite", "../models/a1"])
def test_fetches_a_published_model_that_is_not_here(shelf, monkeypatch, capsys, name):
    with serving(**{"movinet_a1_int8.tflite": whole(DATA)}) as server:
        monkeypatch.setenv("MOVINET_MIRROR", server.url(""))
        assert find_model(name).read_bytes() == DATA
        assert find_model(name).read_bytes() == DATA
    assert len(server.exchanges) == 1
    assert names(shelf / "models") == ["movinet_a1_int8.tflite"]
    assert "fetching movinet_a1_int8" in capsys.readouterr().err


def test_says_what_to_do_when_a_published_model_cannot_be_fetched(shelf):
    with pytest.raises(ModelError) as caught:
        find_model("movinet_a0_int8.tflite")
    message = str(caught.value)
    assert "Connection refused" in message and "https://www.kaggle.com/models/google/movinet" in message
    assert str(shelf / "models" / "movinet_a0_int8.tflite") in message and "\n" not in message


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("movinet_a0_int.tflite", "movinet_a0_int8.tflite"),
        ("movinet_a1_in8", "movinet_a1_int8"),
        ("nowhere/movinet_a2_int8.tflite", "movinet_a2_int8.tflite"),
        ("a0-float", "a0-float16"),
        ("MOVINET_A0_INT8", "movinet_a0_int8"),
    ],
)
def test_an_unknown_model_gets_the_nearest_name(shelf, name, nearest):
    with pytest.raises(ModelError) as caught:
        find_model(name)
    assert f"the nearest is {nearest};" in str(caught.value)
    assert "python classify.py --list-models" in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "/", "~nobody-here/x", "x" * 5000, "a\nb", "a\0b", "a\0/b", "yolo.tflite"])
def test_any_other_name_is_one_line(shelf, name):
    with pytest.raises(ModelError) as caught:
        find_model(name)
    assert "\n" not in str(caught.value) and "\0" not in str(caught.value)


def test_a_folder_is_not_a_model(shelf):
    with pytest.raises(ModelError, match="folder"):
        find_model("../models")


def test_labels_by_the_name_of_the_model(shelf):
    assert find_labels("anywhere/movinet_a2_float16.tflite") == shelf / "labels" / "kinetics600.txt"
    beside = shelf / "here" / "gestures.txt"
    beside.write_text("wave\n")
    assert find_labels(shelf / "here" / "gestures.tflite") == beside
    (shelf / "labels" / "gestures.txt").write_text("wave\n")
    assert find_labels(shelf / "here" / "gestures.tflite") == shelf / "labels" / "gestures.txt"


def test_labels_are_never_guessed(shelf):
    with pytest.raises(ModelError, match=r"movinet_a0_se_int8\.tflite.*--labels FILE"):
        find_labels("movinet_a0_se_int8.tflite")


def test_labels_as_given(shelf):
    own = shelf / "here" / "own.txt"
    own.write_text("wave\n")
    model = "movinet_a0_int8.tflite"
    assert find_labels(model, str(own)) == own
    assert find_labels(model, "~/own.txt") == own
    assert find_labels(model, "own.txt").resolve() == own
    assert find_labels("mine.tflite", "kinetics600.txt") == shelf / "labels" / "kinetics600.txt"
    assert find_labels("mine.tflite", "kinetics600") == shelf / "labels" / "kinetics600.txt"


@pytest.mark.parametrize("labels", ["kinetic600.txt", "nowhere/kinetics60.txt"])
def test_missing_labels_are_not_replaced_by_others(shelf, labels):
    with pytest.raises(ModelError, match=r"the nearest is kinetics600\.txt;.*--labels FILE"):
        find_labels("movinet_a0_int8.tflite", labels)


@pytest.mark.parametrize("labels", ["", ".", "/nowhere/x.txt", "a\nb", "a\0b", "x" * 5000])
def test_any_other_labels_are_one_line(shelf, labels):
    with pytest.raises(ModelError) as caught:
        find_labels("movinet_a0_int8.tflite", labels)
    assert "\n" not in str(caught.value)


def test_known_model_goes_by_the_file_name():
    model = known_model("/anywhere/movinet_a2_int8.tflite")
    assert model and (model.alias, model.input_size, model.fps) == ("a2", 224, 5)
    assert known_model("movinet_a2_int8") is None
    assert known_model("mine.tflite") is None


# The registry itself


def test_registry_is_consistent():
    entries = [model for model in registry().values() if model.clip is None]
    assert {(model.name.split("_")[1], model.name.split("_")[2]) for model in entries} == {
        (size, kind) for size in ("a0", "a1", "a2") for kind in ("int8", "float16")
    }
    every_name = [name for model in entries for name in (model.name, model.alias, model.file)]
    assert len(set(every_name)) == len(every_name)
    addresses = [url for model in entries for url in model.urls]
    assert len(set(addresses)) == len(addresses) == 18
    assert all(url.startswith("https://") for url in addresses)
    for model in entries:
        size, kind = model.name.split("_")[1:]
        version = {"int8": 1, "float16": 2}[kind]  # version 1 of float16 had a wrong architecture
        for url in model.urls:
            assert re.search(rf"\b{size}[/-]stream", url) and re.search(rf"{kind}/{version}\b", url)
        assert model.source.startswith("https://") and model.licence == "Apache-2.0"
        assert model.input_size == {"a0": 172, "a1": 172, "a2": 224}[size] and model.fps == 5
        assert (model.top1 is None) == (model.accuracy_source is None), "a figure has a source"
        assert len((ROOT / "labels" / model.labels).read_text().splitlines()) == 600
        assert model.sha256 is None or re.fullmatch("[0-9a-f]{64}", model.sha256)


def test_registry_knows_the_real_file(tmp_path):
    real = ROOT.parent / "shared" / "models" / "movinet_a0_int8.tflite"
    if not real.exists():
        pytest.skip("the published A0 int8 file is not here")
    with serving(a=whole(tar_gz(("1.tflite", real.read_bytes())))) as server:
        model = replace(registry()["movinet_a0_int8"], urls=(server.url("/a"),))
        assert fetch(model, tmp_path).read_bytes() == real.read_bytes()


def test_registry_knows_the_clip_model():
    model = registry()["resnet-34_kinetics"]
    assert known_model("anywhere/resnet-34_kinetics.onnx") == model and models.published("resnet34") == model
    # The sha1 and the address stand in OpenCV's list of test data, the rest in its example action_recognition.py.
    assert model.sha1 == "88897629e4abb0fddef939f0c2d668a4edeb0788" and "065l4vr8bptzohb" in model.urls[0]
    assert model.sha256 is None and model.top1 is None and model.bytes is None
    assert known_settings(model.file) == ClipSettings(16, 16, 112, "ncthw", (114.7748, 107.7354, 99.4750), (1.0,))
    assert len((ROOT / "labels" / model.labels).read_text().splitlines()) == 400


def test_fetches_an_onnx_file_and_checks_its_sha1(tmp_path):
    content = (ROOT / "tests" / "data" / "clip.onnx").read_bytes()
    known = replace(described(data=None, name="clips"), format="onnx", sha1=hashlib.sha1(content).hexdigest())
    with serving(a=whole(content), b=whole(content[:-1] + b"x"), c=whole(DATA)) as server:
        assert fetch(replace(known, urls=(server.url("/a"),)), tmp_path) == tmp_path / "clips.onnx"
        assert (tmp_path / "clips.onnx").read_bytes() == content
        other = replace(known, name="other")
        assert_refused(tmp_path, replace(other, urls=(server.url("/b"),)), "wrong content, sha1")
        assert_refused(tmp_path, replace(other, urls=(server.url("/c"),)), "something else than an ONNX model")


def test_table_fits_a_terminal_and_tells_what_is_here(tmp_path):
    (tmp_path / "movinet_a2_int8.tflite").write_bytes(DATA)
    (tmp_path / "gestures.tflite").write_bytes(DATA)
    text = table(tmp_path)
    lines = text.splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = {line.split()[0]: line for line in lines[1 : 1 + len(registry())]}
    assert set(rows) == set(registry())
    for text in ("a0", "3.3 MB", "172 px", "5 fps", "65 %", "no", "Apache-2.0"):
        assert text in rows["movinet_a0_int8"]
    assert " yes " in rows["movinet_a2_int8"] and "224 px" in rows["movinet_a2_int8"]
    assert "gestures.tflite" in lines[-1]
