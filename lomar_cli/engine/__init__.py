"""Where calls are worked off: in this process, in processes of this machine, or on Dask."""
