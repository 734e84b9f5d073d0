"""Nets as hash functions: training, modules, and the methods whose second step is a net. Needs the extra `torch`."""
