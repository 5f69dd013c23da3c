"""Figures of a sweep, as matplotlib figures; every one reads in grey and by the colour-blind."""
