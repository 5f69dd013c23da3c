"""A job for NVFlare's simulator, with the aggregator of ``docs/interop.md``."""
