"""Few bytes that unpack to many, told before anything is unpacked."""

from __future__ import annotations

from lomar_cli.errors import InputError

# Updates of which one number in a hundred is not zero are packed to a sixtieth, and what is
# smaller than this unpacked harms nobody.
_TIMES = 200
_SMALL = 2**28


def check_unpacked(shown: str, declared: int, stored: int) -> None:
    """InputError for a file of ``stored`` bytes that says that it holds ``declared``."""
    if declared > max(_SMALL, _TIMES * stored):
        raise InputError(
            f"{shown}: declares {declared:,} bytes, more than {_TIMES} times its size; if it is "
            "right that it holds hardly anything but zeros, save it without compression"
        )
