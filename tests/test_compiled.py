"""Compiling at the first use: verified, remembered, and given up where it can't be right."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, skip_without_schema

import compiler.build
from compiled import pools_of, prepare
from compiler.build import compile_model
from compiler.graph import load, save
from compiler.verify import TOLERANCE, difference
from errors import ModelError
from runtime import choose_runtime
from video_classifier import VideoClassifier

skip_without_schema()


def test_a_model_is_compiled_once_and_then_remembered(cache, tiny_model, monkeypatch):
    source = tiny_model.read_bytes()
    first = prepare(tiny_model, source, choose_runtime(), horizons=True)
    monkeypatch.setattr(compiler.build, "compile_model", None)  # must not be needed again
    second = prepare(tiny_model, source, choose_runtime(), horizons=True)

    assert first.content != source
    assert "compiled to float in" in first.note
    assert (second.content, second.note) == (first.content, None)
    assert [first.file] == [second.file] == list(cache.iterdir())


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:100] + b"?" + b[101:], lambda b: b""])
def test_a_damaged_cache_is_mended(cache, tiny_model, damage):
    source = tiny_model.read_bytes()
    good = bytes(prepare(tiny_model, source, choose_runtime(), horizons=False).content)
    (remembered,) = cache.iterdir()
    remembered.write_bytes(damage(remembered.read_bytes()))

    assert prepare(tiny_model, source, choose_runtime(), horizons=False).content == good
    assert prepare(tiny_model, source, choose_runtime(), horizons=False).note is None


def test_a_cache_that_cannot_be_written_costs_only_time(cache, tiny_model, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")

    for _ in range(2):
        prepared = prepare(tiny_model, tiny_model.read_bytes(), choose_runtime(), horizons=False)
        assert "compiled to float in" in prepared.note


def test_a_compiler_that_errs_is_found_out(cache, tiny_model, monkeypatch):
    def compile_wrongly(*arguments):
        graph = load(compile_model(*arguments))
        weights = next(operator.inputs[1] for operator in graph.operators if operator.kind == "FULLY_CONNECTED")
        weights.data = weights.data * np.float32(1.01)
        return save(graph)

    monkeypatch.setattr(compiler.build, "compile_model", compile_wrongly)
    source = tiny_model.read_bytes()
    prepared = prepare(tiny_model, source, choose_runtime(), horizons=False)

    assert prepared.content == source and not prepared.compiled
    assert "not compiled" in prepared.note and "off" in prepared.note


def test_a_file_with_two_graphs_runs_as_it_is(cache, tiny_model):
    source = (tiny_model.parent / "tiny_two_signatures.tflite").read_bytes()

    prepared = prepare("two", source, choose_runtime(), horizons=False)

    assert prepared.content == source
    assert "not compiled" in prepared.note


def test_a_damaged_model_does_not_reach_the_compiler(cache, tiny_model, runtime):
    with pytest.raises(ModelError):
        prepare("cut", tiny_model.read_bytes()[:-500], choose_runtime(runtime), horizons=True)


@pytest.mark.parametrize("name", ["tiny", "tiny_quantized"])
def test_two_horizons_without_decay_are_the_same_function(tiny_model, name, runtime):
    source = (tiny_model.parent / f"{name}.tflite").read_bytes()

    assert difference(source, compile_model(source, "float", horizons=True), choose_runtime(runtime)) < TOLERANCE


def test_pools_are_listed_in_the_file_and_found_without_the_list(tiny_model):
    source = tiny_model.read_bytes()
    listed = pools_of(compile_model(source, "float", horizons=False))

    assert {pool.buffer for pool in pools_of(source)} == {pool.buffer for pool in listed}
    assert len(listed) == 2


@pytest.mark.parametrize("precision", ["source", "float"])
def test_bounded_memory_forgets_what_was_long_ago(cache, tiny_model, tiny_labels, precision):
    red, blue = np.full((32, 32, 3), (255, 0, 0), np.uint8), np.full((32, 32, 3), (0, 0, 255), np.uint8)

    def frames_until_blue(memory):
        with VideoClassifier(tiny_model, tiny_labels, memory=memory, precision=precision) as classifier:
            for _ in range(300):
                classifier.step(red)
            for frames in range(1, 400):
                if classifier.step(blue).top[0].label == "blue":
                    return frames
        return 400

    assert frames_until_blue(memory=12) <= 16
    assert frames_until_blue(memory=None) >= 250  # the published mean wants nearly as many blue frames as red ones


def test_the_command_writes_a_file_for_other_programs(tiny_model, tmp_path):
    output = tmp_path / "compiled.tflite"
    command = [sys.executable, "-m", "compiler", str(tiny_model), "-o", str(output), "--report"]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    assert result.returncode == 0, result.stderr
    assert stat.S_IMODE(os.stat(output).st_mode) == 0o644
    assert difference(tiny_model.read_bytes(), output.read_bytes(), choose_runtime()) < TOLERANCE
    for word in ("verified", "operators", "partitions", "bytes", "ms a run", "compiled.tflite"):
        assert word in result.stdout


def test_the_command_refuses_what_it_cannot_compile_in_one_line(tiny_model, tmp_path):
    two = str(tiny_model.parent / "tiny_two_signatures.tflite")
    command = [sys.executable, "-m", "compiler", two, "-o", str(tmp_path / "out.tflite")]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    assert result.returncode == 3
    assert len(result.stderr.splitlines()) == 1 and "can't compile" in result.stderr
    assert not (tmp_path / "out.tflite").exists()
