"""Events, recorders, progress, chains."""

import logging

import numpy as np
import pytest

import bqp
from bqp import callbacks


def problem(n=60, sense="min"):
    rng = np.random.default_rng(0)
    return bqp.BQP.from_qubo(rng.integers(-9, 10, (n, n)), sense=sense)


def test_recorder():
    recorder = callbacks.Recorder()
    solution = bqp.solve(problem(), max_moves=20_000, rng=0, callback=recorder)
    trace = recorder.trace
    assert len(trace) > 1 and trace.energy[-1] == solution.energy
    assert np.all(np.diff(trace.energy) <= 0) and np.all(np.diff(trace.time) >= 0)
    assert set(trace.as_dict()) == {"time", "n_moves", "energy", "lower_bound"}


def test_stop_at_target():
    best = bqp.solve(problem(), max_moves=20_000, rng=0).energy
    stopper = callbacks.StopAtTarget(best / 2)
    solution = bqp.solve(problem(), max_moves=10**9, rng=0, callback=stopper)
    assert solution.status is bqp.Status.STOPPED and solution.energy <= best / 2


def test_log_progress(caplog):
    with caplog.at_level(logging.INFO, logger="bqp"):
        bqp.solve(problem(), max_moves=20_000, rng=0, callback=callbacks.LogProgress(interval=0.0))
        every = len(caplog.records)
        caplog.clear()
        bqp.solve(problem(), max_moves=20_000, rng=0, callback=callbacks.LogProgress(interval=1e9))
    assert every > 1 and len(caplog.records) == 1
    assert "moves, energy" in caplog.records[0].getMessage()


def test_nothing_prints(capsys):
    bqp.solve(problem(), max_moves=1000, rng=0, callback=callbacks.LogProgress(0.0))
    assert capsys.readouterr() == ("", "")


def test_chain():
    assert callbacks.chain() is None and callbacks.chain(None) is None
    recorder = callbacks.Recorder()
    assert callbacks.chain(None, recorder) is recorder
    last = callbacks.Recorder()
    both = callbacks.chain(recorder, lambda event: True, last)
    solution = bqp.solve(problem(), max_moves=10**9, rng=0, callback=both)
    assert solution.status is bqp.Status.STOPPED
    assert len(recorder.rows) == len(last.rows) == 1, "all are called, also behind the one that stops"


def test_events_live_in_the_domain_of_the_caller():
    seen = []
    bqp.solve(problem(sense="max"), max_moves=5_000, rng=0, callback=lambda event: seen.append((event.energy, event.x)))
    for energy, x in seen:
        assert x.dtype == np.int8 and set(np.unique(x)) <= {0, 1}
        assert problem(sense="max").energy(x) == energy


def test_an_event_keeps_its_assignment():
    events = []
    solution = bqp.solve(
        problem(), solver="coordinate_descent", max_moves=20_000, rng=0, callback=events.append, reductions=()
    )
    assert len({event.x.tobytes() for event in events}) > 1
    assert all(problem().energy(event.x) == event.energy for event in events)
    events[-1].x[:] = 0
    assert problem().energy(solution.x) == solution.energy


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_errors_of_a_callback_reach_the_caller(n_jobs):
    def broken(event):
        raise RuntimeError("a bug of the caller")

    with pytest.raises(RuntimeError, match="a bug of the caller"):
        bqp.solve(problem(), max_moves=20_000, rng=0, callback=broken, n_jobs=n_jobs)
