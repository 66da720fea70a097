/* Plays V4L2 drivers on plain files, for test_list_cameras.py: preloaded, it answers the three ioctls that list a camera's
   modes, in the kernel's own structures. The file's first letter says which driver it is. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))

static int fail(int reason) { errno = reason; return -1; }

/* A webcam: raw pictures, slow where they are large, and compressed ones. */
static int webcam(unsigned long request, void *argument)
{
    static const __u32 formats[] = {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_MJPEG};
    static const struct v4l2_frmsize_discrete sizes[] = {{640, 480}, {320, 240}, {1280, 720}};
    static const struct v4l2_fract fast[] = {{1, 30}, {1, 15}, {2, 15}}, slow[] = {{1, 10}};

    if (request == VIDIOC_ENUM_FMT) {
        struct v4l2_fmtdesc *format = argument;
        if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || format->index >= COUNT(formats)) return fail(EINVAL);
        format->pixelformat = formats[format->index];
        strcpy((char *)format->description, "whatever");
    } else if (request == VIDIOC_ENUM_FRAMESIZES) {
        struct v4l2_frmsizeenum *size = argument;
        if (size->index >= COUNT(sizes)) return fail(EINVAL);
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete = sizes[size->index];
    } else {
        struct v4l2_frmivalenum *rate = argument;
        int large = rate->width == 1280 && rate->height == 720 && rate->pixel_format == V4L2_PIX_FMT_YUYV;
        if (rate->index >= (large ? COUNT(slow) : COUNT(fast))) return fail(EINVAL);
        rate->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        rate->discrete = large ? slow[rate->index] : fast[rate->index];
    }
    return 0;
}

/* A frame grabber: any size, any rate. */
static int grabber(unsigned long request, void *argument)
{
    if (((struct v4l2_fmtdesc *)argument)->index > 0) return fail(EINVAL);
    if (request == VIDIOC_ENUM_FMT) {
        ((struct v4l2_fmtdesc *)argument)->pixelformat = V4L2_PIX_FMT_Y16_BE;
    } else if (request == VIDIOC_ENUM_FRAMESIZES) {
        struct v4l2_frmsizeenum *size = argument;
        size->type = V4L2_FRMSIZE_TYPE_STEPWISE;
        size->stepwise = (struct v4l2_frmsize_stepwise){
            .min_width = 48, .max_width = 1920, .step_width = 16, .min_height = 32, .max_height = 1080, .step_height = 8};
    } else {
        struct v4l2_frmivalenum *rate = argument;
        if (rate->width != 1920 || rate->height != 1080) return fail(EINVAL);
        rate->type = V4L2_FRMIVAL_TYPE_CONTINUOUS;
        rate->stepwise = (struct v4l2_frmival_stepwise){.min = {1, 60}, .max = {1, 5}, .step = {1, 1}};
    }
    return 0;
}

/* A driver that knows its formats and sizes, but no rates. */
static int no_rates(unsigned long request, void *argument)
{
    return request == VIDIOC_ENUM_FRAMEINTERVALS ? fail(ENOTTY) : webcam(request, argument);
}

/* A camera that is pulled out once its first size is read. */
static int pulled_out(unsigned long request, void *argument)
{
    return request == VIDIOC_ENUM_FRAMEINTERVALS ? fail(ENODEV) : webcam(request, argument);
}

int ioctl(int descriptor, unsigned long request, ...)
{
    va_list arguments;
    char driver = 0;
    void *argument;
    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    request &= 0xffffffff;
    if (request == VIDIOC_ENUM_FMT || request == VIDIOC_ENUM_FRAMESIZES || request == VIDIOC_ENUM_FRAMEINTERVALS) {
        if (pread(descriptor, &driver, 1, 0) != 1) return fail(EIO);
        switch (driver) {
        case 'w': return webcam(request, argument);
        case 'g': return grabber(request, argument);
        case 'n': return no_rates(request, argument);
        case 'p': return pulled_out(request, argument);
        }
    }
    return ((int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl"))(descriptor, request, argument);
}
