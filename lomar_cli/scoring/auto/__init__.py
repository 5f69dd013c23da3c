"""The views of ``lomar-auto``: each looks at a round from one side (``docs/method.md``)."""
