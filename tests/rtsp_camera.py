"""An RTSP camera on this machine, in a process of its own: prints its port, then serves /cam.

    /usr/bin/python3 rtsp_camera.py [PORT] [FPS] [CODEC] [KEY] [LOGIN]

Needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-{base,good,ugly,bad}, so it runs under
the system's Python. 320x240, 15 fps, H.264 with a key frame every 15 frames, and no password, unless said otherwise:
CODEC is h264 or mjpeg, KEY counts frames, LOGIN is user:password.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

port, fps, codec, key, login = (sys.argv[1:] + ["0", "15", "h264", "15", ""][len(sys.argv) - 1 :])[:5]
ENCODERS = {
    "h264": f"x264enc tune=zerolatency speed-preset=ultrafast key-int-max={key} ! rtph264pay name=pay0",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0",
}
PIPELINE = " ! ".join(
    (
        "videotestsrc is-live=true pattern=smpte",
        f"video/x-raw,format=I420,width=320,height=240,framerate={fps}/1",
        ENCODERS[codec],
    )
)

Gst.init(None)
for element in ("videotestsrc", "x264enc", "rtph264pay", "jpegenc", "rtpjpegpay"):
    if not Gst.ElementFactory.find(element):
        raise SystemExit(f"GStreamer has no {element}")
camera = GstRtspServer.RTSPMediaFactory(shared=True)
camera.set_launch(f"( {PIPELINE} )")
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=port)
if login:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "owner")
    guard = GstRtspServer.RTSPAuth()
    guard.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":")), token)
    server.set_auth(guard)
    rights = GstRtspServer.RTSPPermissions()
    rights.add_permission_for_role("owner", "media.factory.access", True)
    rights.add_permission_for_role("owner", "media.factory.construct", True)
    camera.set_permissions(rights)
server.get_mount_points().add_factory("/cam", camera)
if not server.attach(None):
    raise SystemExit(f"port {port} is taken")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
