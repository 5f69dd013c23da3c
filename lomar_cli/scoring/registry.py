"""Every scoring method by name. A new one is one file and one line here.

Other packages add theirs by an entry point in the group ``lomar.methods``.
"""

from __future__ import annotations

from lomar_cli.scoring.options import Registry

DEFAULT_METHOD = "lomar-auto"
METHODS = Registry(
    flag="--method",
    package="lomar_cli.scoring",
    group="lomar.methods",
    table={
        "lomar-auto": ("lomar_auto", "LomarAuto", "LoMar at both ends, and on labels; needs no M"),
        "lomar": ("lomar", "Lomar", "Local Malicious Factor as the paper prints it (sec. 3)"),
        "krum": ("krum", "Krum", "sum of the n - f - 2 nearest squared distances (4.1.3)"),
        "foolsgold": ("foolsgold", "FoolsGold", "cosine similarity to the most alike (4.1.3)"),
        "foolsgold-krum": ("in_turn", "FoolsGoldKrum", "FoolsGold, then Krum on the rest"),
        "krum-foolsgold": ("in_turn", "KrumFoolsGold", "Krum, then FoolsGold on the rest"),
        "auror": ("auror", "Auror", "two-means on every output parameter (Shen et al. 2016)"),
        "spectral": ("spectral", "Spectral", "projection on the top singular vector"),
        "pca": ("pca", "Pca", "two groups in a label's first two components (Tolpegin et al.)"),
        "dnc": ("dnc", "DnC", "spectral outliers of random coordinates (divide and conquer)"),
        "flame": ("flame", "Flame", "outside HDBSCAN's majority cluster of cosine distances"),
        "signguard": ("signguard", "SignGuard", "norms and shares of signs unlike the majority's"),
        "deepsight": ("deepsight", "DeepSight", "clusters trained on few labels, without DDifs"),
        "norm-threshold": ("norm_threshold", "NormThreshold", "longer than twice the median"),
        "fltrust": ("fltrust", "FlTrust", "points away from a trusted update (needs --root)"),
        "zeno": ("zeno", "Zeno", "its step lowers no loss on held-out data (needs --holdout)"),
        "zeno-plus": ("zeno_plus", "ZenoPlus", "Zeno++: no descent on trusted data (needs --root)"),
        "fldetector": ("fldetector", "FlDetector", "not what its last update foretold (--history)"),
        "lof": ("lof", "Lof", "local outlier factor of whole updates"),
        "kde": ("kde", "Kde", "kernel density of whole updates"),
        "isolation-forest": ("isolation_forest", "IsolationForest", "isolated by few random cuts"),
        "robust-covariance": ("robust_covariance", "RobustCovariance", "MCD on a few components"),
        "ecod": ("ecod", "Ecod", "in the tails of the parameters' distributions"),
        "none": ("none", "NoDefense", "no defense: suspects nobody"),
    },
)
