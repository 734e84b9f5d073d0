"""Learners of binary codes from a similarity: one method, one file."""

from bqp.codes.bitwise import bitwise
from bqp.codes.bounds import lower_bound
from bqp.codes.result import CodeResult, CodeTrace

__all__ = ["CodeResult", "CodeTrace", "bitwise", "lower_bound"]
