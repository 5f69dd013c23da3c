"""Torch modules as models: their first parameters, training many clients, and prediction.

A model is a function that builds the module for a data set (``mlp``, ``cnn``, ``squeezenet``).
Modules have parameters only: buffers, such as those of batch normalisation, have no place in a
round and are refused; so is whatever draws random numbers while training, such as dropout, as
results must not depend on who else trains.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lomar_cli.data.dataset import Dataset
from lomar_cli.errors import LomarError
from lomar_cli.files.updates import OutputLayer
from lomar_cli.learning.registry import ClientData, Parameters, Training
from lomar_cli.learning.schedule import (
    Arrays,
    Ints,
    batches,
    check_device,
    in_groups,
    one_thread,
    schedule,
)

if TYPE_CHECKING:
    import torch

# Clients trained together: as many as have so many parameters in all, but no more than GROUP.
# Measured on one core: 16 clients for a perceptron on MNIST (3.4 times as fast as one by one), 4
# on Amazon's 10,000 features (1.6 times, with 16 slower again), 8 for SqueezeNet (1.4 times).
# Fixed, so that the same client sits in the same computation whatever --jobs is.
GROUP = 16
GROUP_PARAMETERS = 6_000_000
_TEST_BATCH = 256


@dataclass(frozen=True)
class Network:
    """``build`` makes the module, which takes rows of features as they are in a data set.

    ``output`` names its last layer, whose biases start at ``head_bias``. Clients are trained
    together, in one computation with a further axis, if a sample has at most ``widest`` features;
    otherwise one after the other, which is then as fast and takes far less memory.
    """

    build: Callable[[Dataset], Any]
    output: OutputLayer
    widest: int = 2**31
    head_bias: float = 0.0

    def initial(self, dataset: Dataset, seed: int = 0) -> Arrays:
        """The first model of a federation, from the seed alone and not from torch's generator.

        Weights are uniform with the variance 2 / inputs (He et al. 2015), those of the output
        layer normal with deviation 0.01, biases zero, those of the output layer ``head_bias``.
        """
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        made = {}
        for name, value in self._empty(dataset).named_parameters():
            shape = tuple(value.shape)
            if len(shape) < 2:
                fill = self.head_bias if name == self.output.bias else 0
                made[name] = np.full(shape, fill, np.float32)
            elif name == self.output.weight:
                made[name] = (0.01 * rng.standard_normal(shape)).astype(np.float32)
            else:
                bound = math.sqrt(6 / math.prod(shape[1:]))
                made[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
        return made

    def group(self, start: Parameters) -> int:
        """How many clients are trained together: groups begin at multiples of it."""
        count = sum(value.size for value in start.values())
        return max(1, min(GROUP, GROUP_PARAMETERS // count))

    def train(
        self,
        dataset: Dataset,
        start: Parameters,
        clients: Sequence[ClientData],
        training: Training,
        advance: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Arrays]]:
        """Yield ``(first client, updates)`` for each group of clients, in order.

        Every client runs ``torch.optim.SGD`` on cross-entropy from ``start``, on the batches that
        ``schedule.batches`` gives it. Updates are trained minus start, float32.
        """
        import torch

        check_device(training.device)
        module = self._empty(dataset)
        first = {
            name: torch.tensor(start[name], dtype=torch.float32, device=training.device)
            for name, _ in module.named_parameters()
        }
        features = torch.from_numpy(np.require(dataset.x_train, requirements="W"))
        train_group = _together if features.shape[1] <= self.widest else _one_by_one

        def work(group: Sequence[ClientData]) -> Arrays:
            own = self._empty(dataset)
            done = train_group(own, features, dataset.scale, first, group, training)
            advance(len(group))
            return done

        with one_thread():
            yield from in_groups(work, clients, self.group(start), training.jobs)

    def predict(
        self, parameters: Parameters, features: NDArray[Any], dataset: Dataset | None = None
    ) -> Ints:
        """The most likely label of each sample, shape (samples,)."""
        if dataset is None:
            raise TypeError("a network has to know the shape of its samples")
        import torch

        module = self._empty(dataset)
        given = {name: torch.tensor(parameters[name]).float() for name in parameters}
        found = []
        with torch.inference_mode():
            for start in range(0, len(features), _TEST_BATCH):
                x = torch.from_numpy(features[start : start + _TEST_BATCH])
                found.append(torch.func.functional_call(module, given, (x,)).argmax(dim=1))
        best: Ints = torch.cat(found).numpy().astype(np.int64)
        return best

    def _empty(self, dataset: Dataset) -> Any:
        """The module without memory for its parameters."""
        if importlib.util.find_spec("torch") is None:
            raise LomarError("this model needs torch: pip install 'lomar-cli[train]'")
        import torch

        with torch.device("meta"):
            module = self.build(dataset)
        if list(module.buffers()):
            raise TypeError("a network with buffers cannot be sent as an update of parameters")
        return module


def _one_by_one(
    module: Any,
    features: torch.Tensor,
    scale: float,
    start: Mapping[str, torch.Tensor],
    group: Sequence[ClientData],
    training: Training,
) -> Arrays:
    import torch

    module = module.to_empty(device=training.device)
    parameters = dict(module.named_parameters())
    made = {n: torch.empty((len(group), *p.shape), device=p.device) for n, p in start.items()}
    for place, client in enumerate(group):
        with torch.no_grad():
            for name, value in parameters.items():
                value.copy_(start[name])
        optimizer = torch.optim.SGD(
            parameters.values(),
            lr=training.lr,
            momentum=training.momentum,
            weight_decay=training.weight_decay,
        )
        rows, labels = torch.from_numpy(client.samples), torch.from_numpy(client.labels)
        for chosen in batches(client, training):
            batch = torch.from_numpy(chosen)
            x = features.index_select(0, rows[batch]).to(training.device, torch.float32)
            optimizer.zero_grad()
            target = labels[batch].to(training.device)
            loss = torch.nn.functional.cross_entropy(module(x.mul_(scale)), target)
            torch.autograd.backward([loss])
            optimizer.step()
        with torch.no_grad():
            for name, value in parameters.items():
                torch.sub(value, start[name], out=made[name][place])
    return {name: value.cpu().numpy() for name, value in made.items()}


def _together(
    module: Any,
    features: torch.Tensor,
    scale: float,
    start: Mapping[str, torch.Tensor],
    group: Sequence[ClientData],
    training: Training,
) -> Arrays:
    import torch

    def loss(
        parameters: Mapping[str, torch.Tensor],
        x: torch.Tensor,
        y: torch.Tensor,
        share: torch.Tensor,
    ) -> torch.Tensor:
        scores = torch.func.functional_call(module, dict(parameters), (x,))
        each = torch.nn.functional.cross_entropy(scores, y, reduction="none")
        return (each * share).sum()

    slopes = torch.func.vmap(torch.func.grad(loss))
    plan = schedule(group, training)
    rows = torch.from_numpy(plan.rows)
    target = torch.from_numpy(plan.target).to(training.device)
    share = torch.from_numpy(plan.share).to(training.device)
    now = {n: p.expand(len(group), *p.shape).clone() for n, p in start.items()}
    speed = {n: torch.zeros_like(p) for n, p in now.items()} if training.momentum else {}
    for step in range(rows.shape[1]):
        active = int((plan.steps > step).sum())
        chosen = rows[:active, step]
        x = features.index_select(0, chosen.reshape(-1)).to(training.device, torch.float32)
        x = x.mul_(scale).view(active, chosen.shape[1], -1)
        part = {name: value[:active] for name, value in now.items()}
        found = slopes(part, x, target[:active, step], share[:active, step])
        with torch.no_grad():
            for name, gradient in found.items():
                if training.weight_decay:
                    gradient = gradient.add(part[name], alpha=training.weight_decay)
                if training.momentum:
                    gradient = speed[name][:active].mul_(training.momentum).add_(gradient)
                part[name].add_(gradient, alpha=-training.lr)
    back = np.argsort(plan.order)
    return {name: (value - start[name]).cpu().numpy()[back] for name, value in now.items()}
