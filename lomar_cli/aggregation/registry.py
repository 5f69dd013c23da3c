"""Every aggregation rule by name. A new one is one file and one line here.

Other packages add theirs by an entry point in the group ``lomar.rules``.
"""

from __future__ import annotations

from lomar_cli.scoring.options import Registry
from lomar_cli.scoring.registry import METHODS

DEFAULT_RULE = "fedavg"


def _method(name: str) -> str:
    """Most methods are their authors' aggregations: a filter before an average."""
    if name not in METHODS.names():
        return ""
    return (
        f"; it is a method: lomar score --method {name} -o SCORES, then aggregate with "
        "--scores SCORES"
    )


RULES = Registry(
    flag="--rule",
    package="lomar_cli.aggregation",
    group="lomar.rules",
    hint=_method,
    table={
        "fedavg": ("fedavg", "FedAvg", "average weighted by num_examples (eqs. 2 and 3)"),
        "krum": ("krum", "Krum", "the one update nearest to most others"),
        "multi-krum": ("krum", "MultiKrum", "mean of the n - f updates nearest to most others"),
        "bulyan": ("bulyan", "Bulyan", "repeated Krum, then the mean nearest to the median"),
        "foolsgold": ("foolsgold", "FoolsGold", "average with little weight for look-alikes"),
        "median": ("median", "Median", "coordinate-wise median"),
        "trimmed-mean": ("trimmed_mean", "TrimmedMean", "coordinate-wise trimmed mean (CWTM)"),
        "meamed": ("meamed", "MeaMed", "coordinate-wise mean around the median"),
        "geometric-median": ("geometric_median", "GeometricMedian", "geometric median (RFA)"),
        "centred-clipping": ("centred_clipping", "CentredClipping", "iterated clipping of offsets"),
        "norm-clipping": ("norm_clipping", "NormClipping", "average of updates cut to a length"),
        "norm-threshold": ("norm_threshold", "NormThreshold", "average without the long updates"),
        "mda": ("mda", "MDA", "mean of the n - f clients of smallest diameter"),
        "caf": ("caf", "CAF", "covariance-bound agnostic filter"),
        "robustlr": ("robustlr", "RobustLr", "against the average where signs disagree"),
        "clip-and-noise": ("clip_and_noise", "ClipAndNoise", "clipped norms plus a little noise"),
        "zeno": ("zeno", "Zeno", "mean of the steps that lower a held-out loss (needs --holdout)"),
        "fltrust": ("fltrust", "FlTrust", "weighed by trust in each client (needs --root)"),
    },
)
