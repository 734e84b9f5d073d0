"""Supervised hashing methods: one file, one class, one paper."""

from hashers.methods.tsh import TSH

__all__ = ["TSH"]
