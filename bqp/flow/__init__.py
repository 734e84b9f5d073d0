"""Maximum flow by several libraries behind one call, and roof duality on top of it."""

from bqp.flow.backends import BACKENDS, Flow, check_backend, maximum_flow
from bqp.flow.network import Network, quantise
from bqp.flow.roof import Roof, persistent_labels, written_out

__all__ = [
    "BACKENDS",
    "Flow",
    "Network",
    "Roof",
    "check_backend",
    "maximum_flow",
    "persistent_labels",
    "quantise",
    "written_out",
]
