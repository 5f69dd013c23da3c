"""What to say when the framework is not there."""

from __future__ import annotations


def missing_flower(module: str, error: ImportError) -> ModuleNotFoundError:
    """The error to raise in place of ``error``, which a module of ours met when it was imported."""
    return ModuleNotFoundError(
        f"{module}: needs flwr 1.42 or newer, which the extra 'flower' brings: "
        f"pip install 'lomar-cli[flower]' ({error})",
        name=error.name,
    )
