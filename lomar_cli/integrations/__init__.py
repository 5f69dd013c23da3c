"""Frameworks that `lomar` works inside of; each needs the extra of its name."""
