"""Framing: near-copies of honest clients, so that a defense against copies removes these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lomar_cli.attacks.base import JITTER, Copies, option
from lomar_cli.errors import UsageError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lomar_cli.attacks.context import Block, Context


@dataclass(frozen=True)
class Framing(Copies):
    """Send near-copies of some honest clients, who then look like a group of sybils.

    The victims are as many as --copies-each for each one allow: those of --victims; with
    --target-update those whose updates lead furthest away from it, seen from the honest mean, so
    that their removal serves it best; otherwise random ones. A defense that removes what lies close
    together removes the victims too, and one that does not gives them more weight. Not from a
    paper.
    """

    knows: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("target",)
    copies_each: int = option(2, "Near-copies of each victim.")
    victims: str | None = option(None, "Ids of honest clients to copy: ID,ID,...")
    jitter: float = option(0.02, JITTER)

    def __call__(self, context: Context) -> Block:
        import numpy as np

        if self.copies_each < 1:
            raise UsageError(f"--copies-each {self.copies_each}: must be 1 or more")
        candidates = self._candidates(context)
        victims = candidates[: max(1, -(-context.malicious // self.copies_each))]
        block = context.known[victims[np.arange(context.malicious) % len(victims)]]
        return self.jittered(context, block)

    def _candidates(self, context: Context) -> NDArray[np.intp]:
        """Rows of the known updates, whoever is to be copied first first."""
        import numpy as np

        if self.victims is not None:
            ids = list(context.known_ids)
            named = [name for name in self.victims.split(",") if name]
            for name in named:
                if name not in ids:
                    raise UsageError(
                        f"--victims {name}: is no honest client that the attacker knows"
                        f"{nearest(name, ids)}"
                    )
            if not named:
                raise UsageError("--victims: names nobody; give ids as ID,ID,...")
            return np.array([ids.index(name) for name in named], np.intp)
        if context.target is None:
            context.need(1)
            return context.rng.permutation(len(context.known)).astype(np.intp)
        towards = (context.known - context.mean) @ (context.target - context.mean)
        return np.argsort(towards, kind="stable")
