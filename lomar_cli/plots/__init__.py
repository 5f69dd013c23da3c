"""Figures of one round's verdict; every one reads in grey and by the colour-blind.

Arrays in, a matplotlib figure out: nothing here opens an input file. matplotlib (the extra 'plot')
is imported inside functions, so that a command without a figure starts without it.
"""
