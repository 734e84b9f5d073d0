"""Compiled loops of `hashers`: plain arrays in, plain arrays out."""
