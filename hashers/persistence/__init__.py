"""Models on disk: one sealed archive of arrays and JSON, no pickle."""

from hashers.persistence.archive import load, save

__all__ = ["load", "save"]
