"""Pools that forget: exactly in float, right on average on a grid; what a file says about its pools."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from conftest import skip_without_schema

from flatbuffer import Table
from memory import Memory, Pool, horizons, read_pools, write_pools
from metadata import read_metadata

POOL = Pool("sum", "count")


def fresh(size: int = 3) -> dict[str, np.ndarray]:
    return {"sum": np.zeros((1, 1, 1, size), np.float32), "count": np.zeros(1, np.int32)}


def take(states: dict[str, np.ndarray], features: np.ndarray) -> np.ndarray:
    """What a model's pool does; returns the mean."""
    states["sum"] = states["sum"] + features
    states["count"] = states["count"] + np.int32(1)
    return states["sum"] / states["count"]


@pytest.mark.parametrize("window", [1, 2, 5, 12])
def test_the_mean_is_exact_up_to_the_window_and_exponential_beyond_it(window: int) -> None:
    features = np.random.default_rng(0).random((60, 3))
    memory, states = Memory([POOL], window), fresh()
    expected = np.zeros(3)
    for number, frame in enumerate(features):
        memory.bound(states)
        mean = take(states, frame.astype(np.float32))
        expected = (
            features[: number + 1].mean(axis=0) if number < window else expected * (1 - 1 / window) + frame / window
        )
        np.testing.assert_allclose(mean.ravel(), expected, rtol=1e-5)
        assert states["count"].dtype == np.int32


def test_a_month_of_one_action_is_left_within_the_window() -> None:
    memory, states = Memory([POOL], 12), fresh(2)
    states["sum"][...], states["count"][...] = [[[[1e7, 0]]]], 10_000_000
    for _ in range(9):  # (11/12)**9 < 1/2
        memory.bound(states)
        mean = take(states, np.array([0, 1], np.float32)).ravel()
    assert mean[1] > mean[0]


def test_turning_it_on_late_keeps_the_mean() -> None:
    states = fresh()
    states["sum"][...], states["count"][...] = 500 * 0.25, 500
    Memory([POOL], 12).bound(states)
    assert states["count"] == 11
    np.testing.assert_allclose(states["sum"] / 11, 0.25, rtol=1e-6)


def test_pools_that_share_a_count_all_forget_and_other_states_are_left_alone() -> None:
    states = {name: np.full(2, 8, np.float32) for name in ("first", "second", "stream")}
    states["count"] = np.array([4], np.int32)
    Memory([Pool("first", "count"), Pool("second", "count")], 4).bound(states)
    assert [states[name][0] for name in ("first", "second", "stream")] == [6, 6, 8]
    assert states["count"] == 3


def test_two_horizons_forget_at_their_own_pace() -> None:
    assert horizons(12) == (4, 16) and horizons(1) == (1, 1)
    pools = [POOL, Pool("short", "short_count", short=True)]
    memory = Memory(pools, 12)
    states = {**fresh(), "short": np.zeros(3, np.float32), "short_count": np.zeros(1, np.int32)}
    for _ in range(40):
        memory.bound(states)
        for name in ("count", "short_count"):
            states[name] += 1
    assert (states["count"], states["short_count"]) == (16, 4)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Memory([POOL], 0)
    with pytest.raises(ValueError, match="share the count"):
        Memory([POOL, Pool("other", "count", short=True)], 12)


GRIDS = {
    "float on a grid": (np.float32, Pool("sum", "count", scale=0.5)),
    "int8": (np.int8, Pool("sum", "count", scale=0.5, zero_point=-20)),
    "uint8": (np.uint8, Pool("sum", "count", scale=0.5, zero_point=100)),
}


def to_steps(raw: np.ndarray, pool: Pool) -> np.ndarray:
    """Whole steps of the grid above zero."""
    return raw / pool.scale if raw.dtype.kind == "f" else raw.astype(int) - pool.zero_point


@pytest.mark.parametrize("kind", GRIDS)
def test_on_a_grid_the_decay_is_right_on_average(kind: str) -> None:
    dtype, pool = GRIDS[kind]
    steps = np.repeat(np.array([-90, -5, -1, 0, 1, 3, 5, 6, 100]), 20_000)
    raw = steps * pool.scale if dtype is np.float32 else steps + pool.zero_point
    states = {"sum": raw.astype(dtype), "count": np.array([12], np.int32)}
    Memory([pool], 12).bound(states)
    assert states["sum"].dtype == dtype
    after = to_steps(states["sum"], pool)
    np.testing.assert_allclose(after, np.rint(after), atol=1e-4)  # Still on the grid.
    wanted = steps * 11 / 12
    assert np.abs(after - wanted).max() < 1
    means = after.reshape(9, -1).mean(axis=1)
    # Five standard errors of a coin that is thrown 20,000 times.
    np.testing.assert_allclose(means, wanted.reshape(9, -1).mean(axis=1), atol=5 * 0.5 / np.sqrt(20_000))


def test_on_a_grid_small_sums_decay_too() -> None:
    """Rounded to the nearest step, a sum of 5 steps would stay at 5 * 11/12 = 4.6, so 5, for ever."""
    pool = Pool("sum", "count", scale=0.587)
    memory, states = Memory([pool], 12), fresh(500)
    states["sum"] += np.float32(5 * 0.587)
    for _ in range(12):
        states["count"][...] = 12
        memory.bound(states)
    left = states["sum"].mean() / (5 * 0.587)
    assert abs(left - (11 / 12) ** 12) < 0.06


def test_random_rounding_repeats_after_a_reset() -> None:
    pool = Pool("sum", "count", scale=0.587)
    memory = Memory([pool], 12)
    results = []
    for _ in range(2):
        states = fresh(100)
        states["sum"] += np.float32(7 * 0.587)
        states["count"][...] = 12
        memory.bound(states)
        results.append(states["sum"])
        memory.reset()
    np.testing.assert_array_equal(*results)


def test_pools_survive_being_written() -> None:
    pools = [POOL, Pool("short", "other", short=True, scale=0.1, zero_point=-3)]
    assert read_pools(write_pools(pools)) == pools


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1]", b'[{"buffer": "a"}]', b'[{"puffer": 1}]', b"7"])
def test_what_is_no_list_of_pools_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_pools(content)


def test_metadata_is_read_without_the_schema() -> None:
    from compiler import graph

    skip_without_schema()
    image = graph.Tensor("image", (1, 4), np.dtype(np.float32))
    metadata = {"pools": write_pools([POOL]), "empty": b"", "label\u00fc": bytes(range(256)) * 40}
    content = graph.save(graph.Graph("call", {"image": image}, {"out": image}, [], metadata))
    assert read_metadata(content) == metadata
    assert read_metadata(graph.save(graph.Graph("call", {"image": image}, {"out": image}, []))) == {}


def test_a_real_file_has_metadata(movinet_model) -> None:
    assert "min_runtime_version" in read_metadata(movinet_model.read_bytes())


def test_damaged_files_are_refused_or_read(tiny_model) -> None:
    content = tiny_model.read_bytes()
    assert read_metadata(content) == {}
    for damaged in (b"", content[:3], content[:60], b"\xff" * 64):
        with pytest.raises(ValueError):
            read_metadata(damaged)
    with pytest.raises(IndexError):
        Table(content, sys.maxsize + 1).number(0)  # what a 32-bit system finds in a file that names places beyond 2 GB
