"""MoViNet-A0, causal, with squeeze-and-excitation: the network and its form for whole clips.

After "MoViNets: Mobile Video Networks for Efficient Video Recognition" (Kondratyuk et al., CVPR 2021, arXiv
2103.11511): the blocks of A0 from its appendix's architecture tables, the search space of section 3.1 with the (2+1)D
convolutions of the mobile models, and section 3.2's stream buffers, causal convolutions, cumulative global average
pooling and causal squeeze-and-excitation (without positional encoding, as in the published A0).

This is the clip form, to be trained: all frames of a clip at once, each answer from the frames up to it. The form to be
exported is in one_frame.py.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM_CHANNELS = 8
HEAD_CHANNELS = 480
FEATURES = 2048
POOL = 3
"""Rows and columns that a strided layer's input is averaged over, to be added to its output."""

_LIKE_THE_PAST = 3  # first frames of a clip whose mean stands for what came before it, in an ongoing stream


@dataclass(frozen=True)
class Layer:
    """One inverted bottleneck.

    Attributes:
        expanded: Channels inside.
        temporal: Frames that the depthwise convolution over time spans; 1 for no such convolution.
        spatial: Rows and columns that the depthwise convolution over space spans.
        stride: Of that convolution, in pixels.
    """

    expanded: int
    temporal: int
    spatial: int
    stride: int


BLOCKS: tuple[tuple[int, tuple[Layer, ...]], ...] = (
    (8, (Layer(24, 1, 5, 2),)),
    (32, (Layer(80, 3, 3, 2), Layer(80, 3, 3, 1), Layer(80, 3, 3, 1))),
    (56, (Layer(184, 5, 3, 2), Layer(112, 3, 3, 1), Layer(184, 3, 3, 1))),
    (56, (Layer(184, 5, 3, 1), Layer(184, 3, 3, 1), Layer(184, 3, 3, 1), Layer(184, 3, 3, 1))),
    (104, (Layer(384, 5, 3, 2), Layer(280, 1, 5, 1), Layer(280, 1, 5, 1), Layer(344, 1, 5, 1))),
)
"""A0's blocks (2 to 6 of the paper, 0 to 4 in the states' names): output channels and layers of each."""


def same_padding(kernel: int, stride: int, size: int) -> tuple[int, int]:
    """Returns the zeros before and after `size` pixels that TensorFlow's SAME padding adds: the odd one goes behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def pad_same(images: Tensor, kernel: int, stride: int) -> Tensor:
    """Pads images [N, C, H, W] so that a valid convolution gives [N, C, ceil(H / stride), ceil(W / stride)]."""
    rows, columns = (same_padding(kernel, stride, size) for size in images.shape[2:])
    return functional.pad(images, (*columns, *rows)) if any(rows + columns) else images


@functools.lru_cache(maxsize=64)
def mean_weights(frames: int, window: int | None, ongoing: bool, device: torch.device) -> Tensor:
    """Returns the float32 [frames, frames] that turns a run of frames into its running means.

    The means are mean[t] = mean[t - 1] + (frame[t] - mean[t - 1]) / min(t + 1, window), the arithmetic of memory.py:
    over all frames so far up to `window` of them, beyond that an exponential average. None never forgets.

    If the stream is an `ongoing` one, `window` frames like the clip's first ones came before it.
    """
    weights = torch.zeros(frames, frames, dtype=torch.float64)
    mean = torch.zeros(frames, dtype=torch.float64)
    if ongoing:
        mean[:_LIKE_THE_PAST] = 1 / min(_LIKE_THE_PAST, frames)
    for t in range(frames):
        count = t + 1 if window is None or not ongoing else window
        share = 1 / min(count, window or count)
        mean = mean * (1 - share)
        mean[t] += share
        weights[t] = mean
    return weights.float().to(device)


def running_mean(frames: Tensor, window: int | None, ongoing: bool = False) -> Tensor:
    """Returns the cumulative global average pool of [B, T, C] after each frame, [B, T, C], bounded to a window."""
    with torch.autocast(frames.device.type, enabled=False):  # Sums over time want float32.
        return mean_weights(frames.shape[1], window, ongoing, frames.device) @ frames


class ConvNorm(nn.Module):
    """Convolution over space with SAME padding, batch normalization and, if `active`, hard-swish.

    Takes [N, inputs, H, W]; returns [N, outputs, ceil(H / stride), ceil(W / stride)].
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        # An odd kernel at stride 1 is padded alike on all sides, whatever the size: the convolution does that itself.
        padding = kernel // 2 if stride == 1 else 0
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.norm = _norm(outputs)
        self.kernel, self.stride = kernel, stride
        self.active = active

    def forward(self, images: Tensor) -> Tensor:
        if self.stride > 1:
            images = pad_same(images, self.kernel, self.stride)
        images = self.norm(self.convolution(images))
        return functional.hardswish(images) if self.active else images


class TemporalConvNorm(nn.Module):
    """Depthwise causal convolution over time, batch normalization and hard-swish. Before the first frame are zeros.

    Takes and returns [B * T, channels, H, W], given B.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        # As a convolution over the rows of [B, channels, T, H * W]: that is how frames in channels_last lie already.
        self.convolution = nn.Conv2d(channels, channels, (kernel, 1), groups=channels, bias=False)
        self.norm = _norm(channels)

    def forward(self, images: Tensor, clips: int) -> Tensor:
        count, channels, height, width = images.shape
        frames = count // clips
        rows = images.permute(0, 2, 3, 1).reshape(clips, frames, height * width, channels).permute(0, 3, 1, 2)
        past = self.convolution.kernel_size[0] - 1
        rows = self.convolution(functional.pad(rows, (0, 0, past, 0)))
        images = rows.permute(0, 2, 3, 1).reshape(count, height, width, channels).permute(0, 3, 1, 2)
        return functional.hardswish(self.norm(images))


class SqueezeExcitation(nn.Module):
    """Causal squeeze-and-excitation: channels weighed by what the frame, and all frames so far, hold on average.

    Takes and returns [B * T, channels, H, W], given B and the window of the running mean in frames.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(8, (2 * channels // 4 + 4) // 8 * 8)  # A quarter, to the nearest multiple of 8.
        self.reduce = nn.Linear(2 * channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, images: Tensor, clips: int, window: int | None, ongoing: bool) -> Tensor:
        frames = _space_mean(images, clips)
        gates = self.gates(torch.cat([running_mean(frames, window, ongoing), frames], 2))
        return images * gates.flatten(0, 1)[:, :, None, None].to(images.dtype)

    def gates(self, means: Tensor) -> Tensor:
        """Returns the weights 0..1 of the channels, [..., channels], from both means, [..., 2 * channels]."""
        return functional.hardsigmoid(self.expand(functional.hardswish(self.reduce(means))))


class Bottleneck(nn.Module):
    """One layer: expand, convolve over space, over time, squeeze-and-excitation, project; added to its input.

    Takes [B * T, inputs, H, W]; returns [B * T, outputs, ceil(H / stride), ceil(W / stride)].
    """

    def __init__(self, inputs: int, outputs: int, layer: Layer) -> None:
        super().__init__()
        inner = layer.expanded
        self.layer = layer
        self.expand = ConvNorm(inputs, inner)
        self.spatial = ConvNorm(inner, inner, layer.spatial, layer.stride, groups=inner)
        self.temporal = TemporalConvNorm(inner, layer.temporal) if layer.temporal > 1 else None
        self.excitation = SqueezeExcitation(inner)
        self.project = ConvNorm(inner, outputs, active=False)
        changed = layer.stride > 1 or inputs != outputs
        self.pool = nn.AvgPool2d(POOL, layer.stride)
        self.skip = ConvNorm(inputs, outputs, active=False) if changed else None

    def forward(self, images: Tensor, clips: int, window: int | None, ongoing: bool) -> Tensor:
        inner = self.spatial(self.expand(images))
        if self.temporal is not None:
            inner = self.temporal(inner, clips)
        inner = self.project(self.excitation(inner, clips, window, ongoing))
        if self.layer.stride > 1:
            images = self.pool(pad_same(images, POOL, self.layer.stride))
        return inner + (images if self.skip is None else self.skip(images))


class MoViNet(nn.Module):
    """The clip form. Serves images of any size: SAME padding is computed from it.

    Args:
        classes: Number of them.
        dropout: Share of the features before the classifier that is dropped in training, one choice a clip.
    """

    def __init__(self, classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.dropout = dropout
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        self.layers = nn.ModuleDict()
        channels = STEM_CHANNELS
        for block, (outputs, layers) in enumerate(BLOCKS):
            for number, layer in enumerate(layers):
                self.layers[f"block{block}_layer{number}"] = Bottleneck(channels, outputs, layer)
                channels = outputs
        self.head = ConvNorm(channels, HEAD_CHANNELS)
        self.hidden = nn.Linear(HEAD_CHANNELS, FEATURES)
        self.classifier = nn.Linear(FEATURES, classes)
        self._initialise()

    def forward(
        self,
        clips: Tensor,
        se_window: int | None = None,
        head_windows: Sequence[int | None] = (None,),
        ongoing: bool = False,
    ) -> Tensor:
        """Classifies each frame of clips by the frames up to it.

        Args:
            clips: float [B, T, 3, S, S], RGB, 0..1.
            se_window: Frames that the pools of squeeze-and-excitation remember about; None for all.
            head_windows: Frames that the head's pool remembers; with several, the mean of the logits of all.
            ongoing: The pools hold a past like the clips' first frames, as in a stream that never ends; else nothing.

        Returns:
            float32 [B, T, classes].
        """
        count = clips.shape[0]
        images = self.stem(clips.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        for layer in self.layers.values():
            images = layer(images, count, se_window, ongoing)
        frames = _space_mean(self.head(images), count)
        means = torch.stack([running_mean(frames, window, ongoing) for window in head_windows])
        features = functional.silu(self.hidden(means))
        if self.training and self.dropout:
            kept = torch.rand(count, 1, FEATURES, device=features.device) >= self.dropout
            features = features * (kept / (1 - self.dropout)).to(features.dtype)
        # The classifier is affine: the mean of its logits is its logits of the mean.
        return self.classifier(features.mean(0)).float()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
                nn.init.kaiming_normal_(module.weight, mode="fan_in" if depthwise else "fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for layer in self.layers.values():
            # Residual branches start small, and time convolutions near passing the present frame on.
            nn.init.constant_(layer.project.norm.weight, 0.3)
            if layer.temporal is not None:
                nn.init.normal_(layer.temporal.convolution.weight, std=0.3)
                with torch.no_grad():
                    layer.temporal.convolution.weight[:, :, -1] += 1
        nn.init.normal_(self.classifier.weight, std=0.01)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1)


def _space_mean(images: Tensor, clips: int) -> Tensor:
    """Returns [B * T, C, H, W], averaged over space, as float32 [B, T, C]."""
    return images.mean((2, 3), dtype=torch.float32).unflatten(0, (clips, -1))
