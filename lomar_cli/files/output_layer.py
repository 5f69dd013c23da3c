"""Which parameters are the output layer: named by the user, or the only one that it can be."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lomar_cli.errors import UsageError, nearest
from lomar_cli.files.text import printable
from lomar_cli.files.updates import OutputLayer

_BARE_BIAS = {"weight": "bias", "kernel": "bias", "W": "b", "w": "b"}
# The last or only part of the module's name where models keep the layer that gives the labels.
_OUTPUT_NAMES = {
    "classifier",
    "fc",
    "fc_out",
    "head",
    "lm_head",
    "linear",
    "logits",
    "out",
    "out_proj",
    "output",
    "output_layer",
    "predictions",
}
# Arrays without names of their own: numpy.savez(*arrays), lists of arrays, Keras' variables.
_NUMBERED = re.compile(r"(arr_|.*/vars/|)(\d+)")
_KERNEL = re.compile(r"(.*[./_])?kernel(:0)?|.*/vars/\d+|W|w")


def output_candidates(shapes: Mapping[str, tuple[int, ...]]) -> list[OutputLayer]:
    """Parameters that could be the output layer: matrices, with the bias of the same module.

    ``shapes`` are parameter shapes without the client axis. The label axis is the one that the
    bias fits; where that does not tell, 1 for what Keras or JAX call a kernel and 0 otherwise.
    Embeddings are left out.
    """
    found = []
    for name, shape in shapes.items():
        if len(shape) == 2 and "embed" not in name.lower():
            bias = matching_bias(name, shapes)
            axis = 1 if _KERNEL.fullmatch(name) else 0
            if bias and shape[0] != shape[1]:
                axis = shape.index(shapes[bias][0])
            found.append(OutputLayer(name, bias, axis))
    return found


def likely_output(shapes: Mapping[str, tuple[int, ...]]) -> tuple[OutputLayer | None, str]:
    """The output layer if it is unambiguous, and why; None and the reason otherwise.

    It is the only candidate, or the only one whose labels feed no other candidate, unless names
    speak for another one; or the only one that is named as output layers are.
    """
    candidates = output_candidates(shapes)
    if not candidates:
        return None, "none of the parameters is a matrix"
    if len(candidates) == 1:
        return candidates[0], "the only candidate"
    named = [one for one in candidates if _module(one.weight) in _OUTPUT_NAMES]
    last = [
        one
        for one in candidates
        if not any(
            shapes[other.weight][1 - other.label_axis] == shapes[one.weight][one.label_axis]
            for other in candidates
            if other is not one
        )
    ]
    if len(last) == 1 and (not named or last[0] in named):
        return last[0], "the only one that feeds no other layer"
    if len(named) == 1 and (len(last) != 1 or named == last):
        return named[0], "by its name"
    return None, f"candidates: {', '.join(printable(one.weight, 60) for one in candidates)}"


def matching_bias(weight: str, shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """The bias of the module that ``weight`` belongs to (``fc.weight`` -> ``fc.bias``)."""
    candidates = [_BARE_BIAS.get(weight, "")]
    for separator in (".", "/", "_"):
        module, found, _ = weight.rpartition(separator)
        if found:
            candidates += [f"{module}{separator}{name}" for name in ("bias", "b", "bias:0")]
    numbered = _NUMBERED.fullmatch(weight)
    if numbered:
        candidates.append(f"{numbered[1]}{int(numbered[2]) + 1}")
    for candidate in candidates:
        shape = shapes.get(candidate, ())
        if len(shape) == 1 and shape[0] in shapes[weight]:
            return candidate
    return None


def _module(weight: str) -> str:
    """The last part of the name of the module that a weight belongs to."""
    return re.split(r"[./]", weight)[-2:][0].lower()


def resolve_output(
    shapes: Mapping[str, tuple[int, ...]], weight: str | None, label_axis: int | None
) -> tuple[OutputLayer | None, str]:
    """Return the output layer and a sentence about how it was found.

    ``weight`` names it, ``"none"`` says that there is none (one block), None asks to guess, which
    is done only when one candidate is unambiguous.
    """
    if weight == "none":
        return None, "no output layer: the whole update is one block"
    if weight is None:
        chosen, why = likely_output(shapes)
        if chosen is None:
            raise UsageError(
                "--output-layer: cannot tell which parameter is the output layer "
                f"({why}); name one, or say 'none' to use no label blocks"
            )
        axis = chosen.label_axis if label_axis is None else label_axis
        output = OutputLayer(chosen.weight, chosen.bias, axis)
        how = f"output layer: {output.weight}, {why}"
    else:
        if weight not in shapes:
            raise UsageError(
                f"--output-layer: there is no parameter '{weight}'{nearest(weight, list(shapes))} "
                f"(parameters: {', '.join(list(shapes)[:12])})"
            )
        output = OutputLayer(weight, matching_bias(weight, shapes), label_axis or 0)
        how = f"output layer: {weight}"
    shape = shapes[output.weight]
    if output.label_axis < 0 or output.label_axis >= len(shape):
        raise UsageError(
            f"--label-axis {output.label_axis}: '{output.weight}' has shape {shape}, "
            f"so the axis is 0 to {len(shape) - 1}"
        )
    labels = shape[output.label_axis]
    if output.bias is not None and shapes[output.bias] != (labels,):
        if weight is not None and label_axis is None and len(shape) == 2:
            other = 1 - output.label_axis
            raise UsageError(
                f"--label-axis: '{output.weight}' has shape {shape} and its bias "
                f"{shapes[output.bias]}, so the labels lie along axis {other}; "
                f"add --label-axis {other}"
            )
        output = OutputLayer(output.weight, None, output.label_axis)
    return output, (
        f"{how}; {labels} labels along axis {output.label_axis}; "
        + (f"bias {output.bias}" if output.bias else "no bias")
    )
