"""The form of the model to be exported: one frame at a time, with the states that a stream carries.

It has the weights of movinet.py's clip form and says the same, frame by frame. Its signature is that of the published
files. What it is made of is chosen for the converter and the runtimes: batch normalization is folded into the
convolutions, and tensors are [N, H, W, C] but for the convolutions themselves, which PyTorch takes as [N, C, H, W]: the
converter cancels the permutations around these, as long as nothing but an activation stands between.
"""

from __future__ import annotations

import copy
from typing import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.movinet import HEAD_CHANNELS, POOL, Bottleneck, ConvNorm, MoViNet, TemporalConvNorm, same_padding

IMAGE_SIZE = 172
"""Rows and columns of A0's image, in pixels."""


class OneFrame(nn.Module):
    """A model for one frame and the states left by the frame before.

    Pools are the paper's cumulative ones: buffer the sum over all frames since the start, frame_count their number.

    Args:
        model: Whose weights to take; it stays as it is.
        size: Rows and columns of the image, in pixels.
    """

    def __init__(self, model: MoViNet, size: int = IMAGE_SIZE) -> None:
        super().__init__()
        self.size = size
        self.model = copy.deepcopy(model).float().eval()
        for module in self.model.modules():
            if isinstance(module, (ConvNorm, TemporalConvNorm)):
                module.convolution = fuse_conv_bn_eval(module.convolution, module.norm)
                module.norm = nn.Identity()
            for name, child in module.named_children():
                if isinstance(child, nn.Linear):
                    setattr(module, name, _Pointwise(child))
        self.requires_grad_(False)

    def zero_states(self) -> dict[str, Tensor]:
        """Returns the states of a fresh stream, by name.

        state_block{b}_layer{l}_stream_buffer: float32 [1, frames, H, W, C], what the convolution over time saw last.
        state_block{b}_layer{l}_pool_buffer, state_head_pool_buffer: float32 [1, 1, 1, 1, C], sums over the frames.
        state_block{b}_layer{l}_pool_frame_count, state_head_pool_frame_count: int32 [1], their number.
        """
        states: dict[str, Tensor] = {}
        size = -(-self.size // self.model.stem.stride)
        for name, layer in self.model.layers.items():
            size = -(-size // layer.layer.stride)
            channels = layer.layer.expanded
            if layer.temporal is not None:
                past = layer.layer.temporal - 1
                states[f"state_{name}_stream_buffer"] = torch.zeros(1, past, size, size, channels)
            states[f"state_{name}_pool_buffer"] = torch.zeros(1, 1, 1, 1, channels)
            states[f"state_{name}_pool_frame_count"] = torch.zeros(1, dtype=torch.int32)
        states["state_head_pool_buffer"] = torch.zeros(1, 1, 1, 1, HEAD_CHANNELS)
        states["state_head_pool_frame_count"] = torch.zeros(1, dtype=torch.int32)
        return states

    def forward(self, image: Tensor, **states: Tensor) -> dict[str, Tensor]:
        """Takes the next frame.

        Args:
            image: float32 [1, 1, size, size, 3], RGB, 0..1.
            **states: As zero_states() or the last call returned them.

        Returns:
            "logits", float32 [1, classes], and the states after the frame, by name.
        """
        new: dict[str, Tensor] = {}
        model = self.model
        images = _channels_last(model.stem, image.reshape(1, self.size, self.size, 3))
        for name, layer in model.layers.items():
            inner = _channels_last(layer.spatial, _channels_last(layer.expand, images))
            if layer.temporal is not None:
                inner = _step_in_time(layer.temporal, inner, f"state_{name}", states, new)
            frame = inner.mean((1, 2), keepdim=True)
            mean = _step_pool(frame, f"state_{name}", states, new)
            inner = inner * layer.excitation.gates(torch.cat([mean, frame], 3))
            images = _shortcut(layer, images) + _channels_last(layer.project, inner)
        frame = _channels_last(model.head, images).mean((1, 2), keepdim=True)
        features = functional.silu(model.hidden(_step_pool(frame, "state_head", states, new)))
        return {"logits": model.classifier(features).reshape(1, -1), **new}


class _Pointwise(nn.Module):
    """A linear layer as the 1x1 convolution that it is in the published files, on [N, H, W, C]."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(linear.in_features, linear.out_features, 1)
        with torch.no_grad():
            self.convolution.weight.copy_(linear.weight[:, :, None, None])
            self.convolution.bias.copy_(linear.bias)

    def forward(self, images: Tensor) -> Tensor:
        return _channels_last(self.convolution, images)


def _channels_last(layer: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Applies what works on [N, C, H, W] to [N, H, W, C]."""
    return layer(images.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _shortcut(layer: Bottleneck, images: Tensor) -> Tensor:
    """Returns the input of a layer, [1, H, W, C], as it is added to its output."""
    stride = layer.layer.stride
    if stride > 1:  # Padded here: between permutations it would keep the converter from cancelling them.
        sides = same_padding(POOL, stride, images.shape[1])
        images = _channels_last(layer.pool, functional.pad(images, (0, 0, *sides, *sides)))
    return images if layer.skip is None else _channels_last(layer.skip, images)


def _step_in_time(
    layer: TemporalConvNorm, image: Tensor, name: str, states: Mapping[str, Tensor], new: dict[str, Tensor]
) -> Tensor:
    """Convolves [1, H, W, C] and the frames in the stream buffer over time; puts the new buffer into `new`."""
    _, height, width, channels = image.shape
    buffer = states[f"{name}_stream_buffer"]
    # The frames below each other make one image; the rows that the convolution joins lie one frame apart.
    column = torch.cat([buffer.reshape(1, -1, width, channels), image], 1)
    new[f"{name}_stream_buffer"] = column[:, height:].reshape(buffer.shape)
    weight, bias = layer.convolution.weight, layer.convolution.bias
    joined = functional.conv2d(column.permute(0, 3, 1, 2), weight, bias, dilation=(height, 1), groups=channels)
    return functional.hardswish(joined.permute(0, 2, 3, 1))


def _step_pool(frame: Tensor, name: str, states: Mapping[str, Tensor], new: dict[str, Tensor]) -> Tensor:
    """Returns the mean over all frames, the present [1, 1, 1, C] included; puts the new sum and count into `new`."""
    buffer, count = states[f"{name}_pool_buffer"], states[f"{name}_pool_frame_count"] + 1
    total = buffer.reshape(frame.shape) + frame
    new[f"{name}_pool_buffer"], new[f"{name}_pool_frame_count"] = total.reshape(buffer.shape), count
    return total / count.float()
