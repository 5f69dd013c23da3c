"""Beside a running server: take client files up as they come, judge each round, go on."""
