#!/usr/bin/env bash
# Runs the tests of the Pi camera that need the real picamera2, on libcamera's virtual camera. For now and then: it takes
# a minute, 1 GB, root and a network; a second run with the same folder takes seconds.
set -euo pipefail

if [ $# != 1 ] || [ "$(id -u)" != 0 ]; then
  echo 'usage: sudo tests/virtual_camera.sh FOLDER   (where a small Debian is made, and kept for the next run)' >&2
  exit 2
fi
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$1"
root=$(cd "$1" && pwd)

# Debian has libcamera for Python, with the virtual camera; picamera2 comes from PyPI, and some of its parts are compiled.
make_debian() {
  command -v mmdebstrap >/dev/null || { echo 'virtual_camera.sh: type: apt-get install mmdebstrap' >&2; exit 1; }
  mmdebstrap --quiet --variant=apt trixie "$root" \
    --include=ca-certificates,gcc,libc6-dev,libcap-dev,libcamera-ipa,python3-dev,python3-libcamera,python3-venv
  mkdir -p "$root/repository" "$root/dev/dma_heap"
  # The certificates of this machine, too: the way to PyPI may lead through a proxy of its own.
  cat /etc/ssl/certs/ca-certificates.crt >"$root/etc/ssl/certs/here.crt"
}

make_python() {
  inside python3 -m venv --system-site-packages /venv
  cp --remove-destination --dereference /etc/resolv.conf "$root/etc/resolv.conf"
  inside /venv/bin/pip install --quiet --cert /etc/ssl/certs/here.crt \
    picamera2 opencv-python-headless ai-edge-litert pytest pytest-timeout hypothesis
  local packages
  packages=$(inside /venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  # picamera2 imports it for a preview on the bare screen, which isn't shown here.
  echo 'from unittest.mock import MagicMock; PixelFormat = MagicMock()' >"$root$packages/pykms.py"
  # The virtual camera has no sensor to describe, and wants its memory from libcamera: with any other it crashes.
  cat >>"$root$packages/picamera2/__init__.py" <<'END'


from picamera2.allocators import LibcameraAllocator


class Picamera2(Picamera2):
    def __init__(self, camera_num=0):
        super().__init__(camera_num)
        self.allocator = LibcameraAllocator(self.camera)

    def _get_raw_modes(self):
        return [{"format": "NV12", "size": (1280, 720)}]
END
}

make_camera() {
  mkdir -p "$root/usr/share/libcamera/pipeline/virtual"
  cat >"$root/usr/share/libcamera/pipeline/virtual/virtual.yaml" <<'END'
%YAML 1.1
---
"Virtual0":
  supported_formats:
  - {width: 640, height: 480, frame_rates: [30, 30]}
  - {width: 1280, height: 720, frame_rates: [30, 30]}
  test_pattern: "bars"
  location: "CameraLocationFront"
  model: "virtual"
...
END
  # Memory for pictures is asked of /dev/dma_heap, which few machines have: here it is an empty file, and what is asked
  # of it is answered with common memory.
  : >"$root/dev/dma_heap/linux,cma"
  cat >"$root/dma_heap.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

int ioctl(int file, unsigned long request, ...)
{
	va_list rest;
	va_start(rest, request);
	void *argument = va_arg(rest, void *);
	va_end(rest);
	if (request == DMA_HEAP_IOCTL_ALLOC) {
		struct dma_heap_allocation_data *wanted = argument;
		int memory = memfd_create("dma_heap", MFD_CLOEXEC);
		wanted->fd = memory;
		return memory < 0 ? -1 : ftruncate(memory, wanted->len);
	}
	if (_IOC_TYPE(request) == DMA_BUF_BASE && (_IOC_NR(request) == 0 || _IOC_NR(request) == 1))
		return 0; /* synchronizing and naming, of which common memory has no need */
	int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
	return real(file, request, argument);
}
END
  inside gcc -O2 -shared -fPIC -o /dma_heap.so /dma_heap.c
}

# Runs a command in the Debian. What is mounted for it goes away with it.
inside() {
  ROOT=$root REPOSITORY=$repository unshare --mount bash -euc '
    mount --bind /proc "$ROOT/proc"
    mount --rbind /sys "$ROOT/sys"
    mount --bind "$REPOSITORY" "$ROOT/repository"
    cd "$ROOT/repository"
    exec chroot "$ROOT" /usr/bin/env -i -C /repository HOME=/root LANG=C.UTF-8 PATH=/usr/bin:/bin \
      PYTHONDONTWRITEBYTECODE=1 "$@"' bash "$@"
}

[ -e "$root/made" ] || { make_debian; make_python; make_camera; : >"$root/made"; }
inside env LD_PRELOAD=/dma_heap.so VIRTUAL_CAMERA=1 \
  /venv/bin/python -m pytest -p no:cacheprovider tests/test_picamera_real.py
