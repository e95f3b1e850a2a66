"""Attacks on a running server, and what must hold after each of them."""
