"""An RTSP camera on a free port of this machine, for tests/test_streams.py: prints its port, then serves /cam.

Needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-{base,good,ugly,bad}, so it runs under
the system's Python. 320x240 H.264 at 15 fps, a key frame every second.
"""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = " ! ".join(
    (
        "videotestsrc is-live=true pattern=smpte",
        "video/x-raw,width=320,height=240,framerate=15/1",
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15",
        "rtph264pay name=pay0",
    )
)

Gst.init(None)
for element in ("videotestsrc", "x264enc", "rtph264pay"):
    if not Gst.ElementFactory.find(element):
        raise SystemExit(f"GStreamer has no {element}")
camera = GstRtspServer.RTSPMediaFactory(shared=True)
camera.set_launch(f"( {PIPELINE} )")
server = GstRtspServer.RTSPServer(address="127.0.0.1", service="0")
server.get_mount_points().add_factory("/cam", camera)
server.attach(None)
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
