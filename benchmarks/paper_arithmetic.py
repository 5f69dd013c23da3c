"""Which rows of the paper's Table 3 can be true: the accuracy on 7s that each MNIST row implies.

Overall accuracy is an average over digits. With the test set's 1,135 ones, 1,028 sevens and 7,837
others, ``overall``, ``target`` (the accuracy on true 1s) and ``other`` leave one unknown: the
accuracy on 7s, which must lie in [0, 1]. Weighing every digit alike instead changes little.

    python benchmarks/paper_arithmetic.py
"""

from __future__ import annotations

from lomar_cli.experiments.printed import Printed

ONES, SEVENS, OTHERS = 1135, 1028, 7837
DEFENSES = ("LoMar", "FG", "Krum", "FG + Krum", "Median", "No defense", "No attack")


def implied(overall: float, ones: float, other: float) -> float:
    """The accuracy on 7s; the row cannot hold if it lies outside [0, 1]."""
    return ((ONES + SEVENS + OTHERS) * overall - ONES * ones - OTHERS * other) / SEVENS


def main() -> None:
    paper = Printed("table3")
    print(f"{'MNIST':<12}{'overall':>9}{'on 1s':>9}{'other':>9}{'implied on 7s':>15}")
    for defense in DEFENSES:
        row = [paper.of("MNIST", defense, name) for name in ("overall", "source", "other")]
        assert None not in row, defense
        overall, ones, other = (float(value) for value in row if value is not None)
        sevens = implied(overall, ones, other)
        verdict = "" if 0 <= sevens <= 1 else "  impossible"
        print(f"{defense:<12}{overall:9.3f}{ones:9.3f}{other:9.3f}{sevens:15.2f}{verdict}")


if __name__ == "__main__":
    main()
