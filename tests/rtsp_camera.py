"""An RTSP camera on this machine, in a process of its own: prints its port, then serves /cam.

    /usr/bin/python3 rtsp_camera.py [PORT] [FPS]

Needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-{base,good,ugly,bad}, so it runs under
the system's Python. 320x240 H.264, 15 fps unless said otherwise, a key frame every 15 frames.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

port = sys.argv[1] if len(sys.argv) > 1 else "0"
fps = sys.argv[2] if len(sys.argv) > 2 else "15"
PIPELINE = " ! ".join(
    (
        "videotestsrc is-live=true pattern=smpte",
        f"video/x-raw,width=320,height=240,framerate={fps}/1",
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
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
server.get_mount_points().add_factory("/cam", camera)
if not server.attach(None):
    raise SystemExit(f"port {port} is taken")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
