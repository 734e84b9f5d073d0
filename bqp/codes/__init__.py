"""Learners of binary codes from a similarity: one method, one file."""

from bqp.codes.bitwise import bitwise
from bqp.codes.block_graph_cut import block_graph_cut
from bqp.codes.bounds import lower_bound
from bqp.codes.discrete_cyclic import discrete_cyclic
from bqp.codes.result import CodeResult, CodeTrace
from bqp.codes.triplets import triplets

__all__ = ["CodeResult", "CodeTrace", "bitwise", "block_graph_cut", "discrete_cyclic", "lower_bound", "triplets"]
