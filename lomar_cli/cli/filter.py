"""``lomar filter``."""

from __future__ import annotations

from lomar_cli.cli import options
from lomar_cli.cli.console import say, warn


def command(
    rounds: options.Rounds,
    scores: options.Scores,
    output: options.Output,
    memory: options.Memory = "2G",
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    debug: options.Debug = False,
) -> None:
    """Leave the flagged clients out: writes the round of those that are kept.

    Weights of near-copies that share a vote are not carried over: 'lomar aggregate --scores' uses
    them.

    \b
    Example:
      lomar filter round.h5 --scores scores.h5 -o kept.h5
    """
    from lomar_cli.files.text import counted, printable
    from lomar_cli.stages.filter import filter_round

    limit = options.parse_size(memory, "--memory")
    done = filter_round(rounds, scores, output, limit, force)
    if done.sharing:
        warn(
            f"{done.sharing} of the kept clients share votes with near-copies of theirs, and a "
            "round holds no weights: to count them so, give the scores to aggregate: lomar "
            f"aggregate {printable(' '.join(map(str, rounds)))} --scores {printable(str(scores))}"
        )
    say(f"{output}: {counted(len(done.head.clients), 'client')} kept, {done.removed} left out")
