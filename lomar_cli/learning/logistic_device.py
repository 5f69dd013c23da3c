"""Softmax regression by torch, for other devices than the CPU: the steps of ``logistic``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.data.dataset import Dataset
from lomar_cli.learning.registry import ClientData, Training
from lomar_cli.learning.schedule import Arrays, check_device, in_groups, one_thread, schedule

if TYPE_CHECKING:
    import torch


def train(
    dataset: Dataset,
    start: Mapping[str, NDArray[Any]],
    clients: Sequence[ClientData],
    training: Training,
    group: int,
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[int, Arrays]]:
    """Yield ``(first client, updates)`` for each ``group`` clients, in order."""
    check_device(training.device)
    import torch

    with torch.inference_mode():
        weight = torch.tensor(start["fc.weight"], dtype=torch.float32, device=training.device)
        bias = torch.tensor(start["fc.bias"], dtype=torch.float32, device=training.device)
    features = torch.from_numpy(np.require(dataset.x_train, requirements="W"))

    def work(group: Sequence[ClientData]) -> Arrays:
        with torch.inference_mode():
            done = _train_group(features, dataset.scale, weight, bias, group, training)
        advance(len(group))
        return done

    with one_thread():
        yield from in_groups(work, clients, group, training.jobs)


def _train_group(
    features: torch.Tensor,
    scale: float,
    weight: torch.Tensor,
    bias: torch.Tensor,
    group: Sequence[ClientData],
    training: Training,
) -> Arrays:
    import torch

    device = weight.device
    plan = schedule(group, training)
    rows = torch.from_numpy(plan.rows)
    # (clients, steps, 1, batch): beside the label axis of the slope.
    target = torch.from_numpy(plan.target).to(device).unsqueeze(2)
    share = torch.from_numpy(plan.share).to(device).unsqueeze(2)
    minus_one = torch.full((1, 1, 1), -1.0, device=device)
    w = weight.repeat(len(group), 1, 1)
    b = bias.repeat(len(group), 1).unsqueeze(2)
    speeds = (torch.zeros_like(w), torch.zeros_like(b))
    for step in range(rows.shape[1]):
        active = int((plan.steps > step).sum())
        now = rows[:active, step]
        x = features.index_select(0, now.reshape(-1)).to(device, torch.float32).mul_(scale)
        x = x.view(active, now.shape[1], -1)
        # Softmax regression's slope by hand: (probability - one-hot label) x sample, per label.
        slope = torch.softmax(torch.bmm(w[:active], x.transpose(1, 2)).add_(b[:active]), dim=1)
        truth = target[:active, step]
        slope.scatter_add_(1, truth, minus_one.expand_as(truth))
        slope.mul_(share[:active, step])
        gradients = (torch.bmm(slope, x), slope.sum(dim=2, keepdim=True))
        for value, speed, gradient in zip((w, b), speeds, gradients, strict=True):
            gradient.add_(value[:active], alpha=training.weight_decay)
            speed[:active].mul_(training.momentum).add_(gradient)
            value[:active].add_(speed[:active], alpha=-training.lr)
    w -= weight
    b -= bias.unsqueeze(1)
    back = np.argsort(plan.order)
    return {"fc.weight": w.cpu().numpy()[back], "fc.bias": b.squeeze(2).cpu().numpy()[back]}
