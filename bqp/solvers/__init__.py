"""One algorithm, one file, one class; `REGISTRY` maps the name that `bqp.solve` takes to the class."""

from bqp.solvers.augmented_lagrangian import AugmentedLagrangian
from bqp.solvers.base import Solver
from bqp.solvers.box_relaxation import BoxRelaxation
from bqp.solvers.coordinate_descent import CoordinateDescent
from bqp.solvers.exact import Exact
from bqp.solvers.graph_cut import GraphCut
from bqp.solvers.semidefinite import Semidefinite
from bqp.solvers.simulated_annealing import SimulatedAnnealing
from bqp.solvers.spectral import Spectral
from bqp.solvers.tabu_search import TabuSearch

__all__ = [
    "REGISTRY",
    "AugmentedLagrangian",
    "BoxRelaxation",
    "CoordinateDescent",
    "Exact",
    "GraphCut",
    "Semidefinite",
    "SimulatedAnnealing",
    "Solver",
    "Spectral",
    "TabuSearch",
]

REGISTRY: dict[str, type[Solver]] = {
    solver.name: solver
    for solver in (
        CoordinateDescent,
        TabuSearch,
        SimulatedAnnealing,
        GraphCut,
        Spectral,
        BoxRelaxation,
        AugmentedLagrangian,
        Semidefinite,
        Exact,
    )
}
