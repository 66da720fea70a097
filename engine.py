"""A loaded streaming model that carries its states from one frame to the next at little cost.

The runtimes hand out a tensor as a numpy view that must be dropped before the next run, because a graph whose sizes are
found while it runs may move its tensors then. Making 100 views a frame costs as much as a tenth of a small model's
arithmetic, so that the views of a graph of fixed sizes, whose memory is laid out once, are made once and kept.

Measured and not used: ai-edge-litert's CompiledModel, with two sets of tensor buffers that swap roles. It saves copying
the states, but a whole step took as long (x86-64), it takes 6 MB more, and as it loads it searches for GPU and NPU
drivers. So one way serves all runtimes.

What a step costs beside the bare run (official A0 compiled to float, ai-edge-litert, x86-64, by timers put between the
parts of VideoClassifier.step, caches as the run leaves them): 1.03 ms are the run; 0.07 shrinking a 640x480 frame that
was just written (0.15 if it was written longer ago, 0.05 if the code were in the cache, too), 0.07 carrying 2.7 MB of
states, 0.03 that the run is slower after other work, 0.05 the rest. Most of it waits for memory. What crosses the
graph's border is made small for that, see compiler/passes/border.py: 8 to 10 % less for a whole step, on both runtimes
and in both precisions. On a Pi's cores, emulated, 1.8 of the 2.4 million instructions beside a run shrink the frame
(tests/arm64/README.md).

Measured and not used, change of the whole step on ai-edge-litert in float, tflite-runtime in float, ai-edge-litert in
int8:

    the frame halved (INTER_AREA), then shrunk, which gives other pixels                -2 %, -2 %, -1 %
    the frame read through once beforehand, in order, so that it is in the cache         0 %, +1 %, +1 %
    fewer calls of numpy for the best classes; frames that are RGB already              -1 %, -1 %,  0 %
    memory in huge pages (glibc.malloc.hugetlb=1)                                       +1 %,  0 %,  0 %
    two convolutions, of the buffer and of the new frame, not of their concatenation    +2 %, -2 %

Bilinear shrinking by cv2.remap or warpAffine, or with INTER_LINEAR_EXACT, is no faster, nor with another number of
OpenCV's threads; nor is carrying by ctypes.memmove, in another order, or just before the next run. A graph that writes
a new state into the state's own input, so that nothing need be carried, isn't taken by XNNPACK: 3.8 ms instead of 1.0
on ai-edge-litert, and tflite-runtime crashes.
"""

from __future__ import annotations

import ctypes
from typing import Any, Callable

import numpy as np

from signature import Signature, Tensor


class Engine:
    """Runs a streaming model frame by frame. Write `image`, then call step(). Not for several threads at once.

    Args:
        interpreter: The runtime's Interpreter, tensors allocated, not yet run; nobody else may use it.
        signature: What read_signature found in it.

    Attributes:
        signature: As given.
        image: The model's input, raw values [1, 1, H, W, 3], to be written before each step.
        states: Each state by name, raw values as it enters the next step; may be read and written between steps. This
            and `image` are to be looked up anew for each step.
    """

    def __init__(self, interpreter: Any, signature: Signature) -> None:
        self._interpreter = interpreter
        self.signature = signature
        self._bind_inputs()
        self.reset()
        self._bind_outputs()

    def reset(self) -> None:
        """Lets the next frame be the first of a stream."""
        for entering, _ in self.signature.states:
            self.states[entering.name][...] = entering.zero

    def invoke(self) -> None:
        """Runs the graph on the image and the states as they are; the states aren't carried on."""
        self._interpreter.invoke()
        if not self.signature.fixed:
            self._bind_inputs()
            self._bind_outputs()

    def step(self) -> np.ndarray:
        """Runs the graph and carries the states to the next frame; returns the logits, float32 [classes]."""
        self.invoke()
        logits = self.signature.logits.to_real(self._logits[0])
        for scratch, leaving, convert in self._conversions:
            scratch[...] = convert(leaving)
        for entering, leaving in self._moves:
            np.copyto(entering, leaving)
        return logits

    def probabilities(self) -> np.ndarray | None:
        """Returns the softmax of the latest step's logits, float32 [classes], if the graph computes it."""
        return None if self._probabilities is None else self._probabilities[0].copy()

    def _bind_inputs(self) -> None:
        self.image = self._view(self.signature.image)
        self.states = {entering.name: self._view(entering) for entering, _ in self.signature.states}

    def _bind_outputs(self) -> None:
        """Makes the views, and lists what is to be copied from where to where after each run."""
        self._logits = self._view(self.signature.logits)
        given = self.signature.probabilities
        self._probabilities = None if given is None else self._view(given)
        self._conversions: list[tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]] = []
        self._moves: list[tuple[np.ndarray, np.ndarray]] = []
        inputs = {entering.index for entering, _ in self.signature.states}
        for entering, leaving in self.signature.states:
            if entering.index == leaving.index:  # It passes through the graph unchanged.
                continue
            # In one dimension numpy moves values within an array without another one between.
            state, source = self.states[entering.name].reshape(-1), self._view(leaving).reshape(-1)
            # One state's input may be another's output, and must then be read before any is written.
            if entering.storage != leaving.storage or leaving.index in inputs:
                scratch: np.ndarray = np.empty(source.shape, entering.dtype)
                self._conversions.append((scratch, source, _converter(entering, leaving)))
                source = scratch
            if source.size < state.size:  # Only its newest part leaves.
                self._moves.append((state[: -source.size], state[source.size :]))
            self._moves.append((state[-source.size :], source))

    def _view(self, tensor: Tensor) -> np.ndarray:
        """Returns the tensor's memory as an array that doesn't count as a view of the interpreter's."""
        view = self._interpreter.tensor(tensor.index)()
        memory = (ctypes.c_char * view.nbytes).from_address(view.ctypes.data)
        memory.owner = self._interpreter  # Keeps it alive as long as the array.
        return np.ndarray(view.shape, view.dtype, memory)


def _converter(entering: Tensor, leaving: Tensor) -> Callable[[np.ndarray], np.ndarray]:
    if entering.storage == leaving.storage:
        return np.asarray
    return lambda raw: entering.from_real(leaving.to_real(raw))
