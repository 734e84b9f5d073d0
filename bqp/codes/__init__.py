"""Learners of binary codes from a similarity: one method, one file."""

from bqp.codes.alternation import alternation
from bqp.codes.bitwise import bitwise
from bqp.codes.block_graph_cut import block_graph_cut
from bqp.codes.bounds import lower_bound
from bqp.codes.column_sampling import column_sampling, omega_step, v_step
from bqp.codes.discrete_cyclic import discrete_cyclic
from bqp.codes.discrete_graph import discrete_graph
from bqp.codes.latent_factor import latent_factor
from bqp.codes.learn import learn
from bqp.codes.matrix_pursuit import matrix_pursuit
from bqp.codes.refine import refine
from bqp.codes.relaxed_factors import relaxed_factors
from bqp.codes.result import CodeResult, CodeTrace
from bqp.codes.spectral_relaxation import spectral_relaxation
from bqp.codes.triplets import triplets

__all__ = [
    "CodeResult",
    "CodeTrace",
    "alternation",
    "bitwise",
    "block_graph_cut",
    "column_sampling",
    "discrete_cyclic",
    "discrete_graph",
    "latent_factor",
    "learn",
    "lower_bound",
    "matrix_pursuit",
    "omega_step",
    "refine",
    "relaxed_factors",
    "spectral_relaxation",
    "triplets",
    "v_step",
]
