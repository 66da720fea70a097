"""Compiling at the first use: verified, remembered, and given up where it can't be right."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, skip_without_schema

import compiler.__main__
import compiler.build
from compiled import pools_of, prepare
from compiler.build import compile_model
from compiler.graph import Operator, Tensor, load, save
from compiler.schema import schema
from compiler.verify import TOLERANCE, difference
from errors import ModelError
from model_metadata import inner_labels
from runtime import choose_runtime
from teaching.tflite_metadata import METADATA as TFLITE_METADATA
from teaching.tflite_metadata import describe, pack_labels
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


@pytest.mark.parametrize("listed", [b"", b"not JSON", b"5", b'[{"buffer": "b", "count": "c"}]'])
def test_metadata_of_others_that_is_named_like_the_list_of_pools(cache, tiny_model, tiny_labels, tmp_path, listed):
    graph = load(tiny_model.read_bytes())
    graph.metadata["pools"] = listed
    (tmp_path / "model.tflite").write_bytes(save(graph))
    with VideoClassifier(tmp_path / "model.tflite", tiny_labels, memory=4) as classifier:
        for _ in range(6):
            classifier.step(np.zeros((32, 32, 3), np.uint8))
        counts = [classifier.engine.states[count.name].item() for count in classifier.engine.signature.counts]
    assert max(counts) == 4 or "memory is not bounded" in classifier.notes[0]


@pytest.mark.parametrize("precision", ["float", "auto"])
def test_a_head_that_cannot_read_two_horizons_is_compiled_with_one(cache, tiny_model, tmp_path, precision):
    graph = load(tiny_model.read_bytes())
    logits = graph.outputs["logits"]
    graph.outputs["logits"] = Tensor("probabilities", logits.shape, logits.dtype)
    graph.operators.append(Operator("SOFTMAX", [logits], [graph.outputs["logits"]], schema.SoftmaxOptionsT()))
    graph.operators[-1].options.beta = 1.0
    check_memory_is_bounded_and_compiled(save(graph), tmp_path, precision, limit=12)


@pytest.mark.parametrize("precision", ["float", "auto"])
def test_a_file_compiled_to_two_horizons_can_be_given(cache, tiny_model, tmp_path, precision):
    content = compile_model(tiny_model.read_bytes(), "float", horizons=True)
    check_memory_is_bounded_and_compiled(content, tmp_path, precision, limit=16)


def test_the_command_says_where_two_horizons_cannot_be(tiny_model, tmp_path, capsys):
    (tmp_path / "two.tflite").write_bytes(compile_model(tiny_model.read_bytes(), "float", horizons=True))
    command = [str(tmp_path / "two.tflite"), "-o", str(tmp_path / "out.tflite")]

    assert compiler.__main__.main([*command, "--horizons"]) == 3
    assert capsys.readouterr().err.endswith("; leave --horizons off\n")
    assert compiler.__main__.main(command) == 0
    assert sum(pool.short for pool in pools_of((tmp_path / "out.tflite").read_bytes())) == 1


def check_memory_is_bounded_and_compiled(content, folder, precision, limit):
    (folder / "model.tflite").write_bytes(content)
    labels = [str(number) for number in range(load(content).outputs["logits"].shape[1])]
    with VideoClassifier(folder / "model.tflite", labels, precision=precision, memory=12) as classifier:
        assert classifier.compiled
        assert [note.partition(" in ")[0] for note in classifier.notes] == ["compiled to float"]
        for _ in range(30):
            classifier.step(np.zeros((32, 32, 3), np.uint8))
        assert max(classifier.engine.states[count.name].item() for count in classifier.engine.signature.counts) == limit


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


def test_the_report_tells_apart_files_of_one_name(tiny_model, tmp_path):
    command = [sys.executable, "-m", "compiler", str(tiny_model), "-o", str(tmp_path / tiny_model.name), "--report"]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    assert result.returncode == 0, result.stderr
    before, after = (line.split() for line in result.stdout.splitlines()[-2:])
    assert before[0] == after[0] == tiny_model.name
    assert [int(row[3].replace(",", "")) for row in (before, after)] == [
        path.stat().st_size for path in (tiny_model, tmp_path / tiny_model.name)
    ]
    assert int(before[1]) == len(load(tiny_model.read_bytes()).operators) > int(after[1])


def test_the_command_keeps_the_labels_inside_a_file(tiny_model, tiny_labels, tmp_path):
    """As train.py packs them, and other programs: in a ZIP behind the model."""
    graph = load(tiny_model.read_bytes())
    graph.metadata[TFLITE_METADATA] = describe(graph, "tiny", "")
    (tmp_path / "in.tflite").write_bytes(pack_labels(save(graph), tiny_labels.read_bytes()))

    assert compiler.__main__.main([str(tmp_path / "in.tflite"), "-o", str(tmp_path / "out.tflite")]) == 0

    assert inner_labels((tmp_path / "out.tflite").read_bytes()) == tiny_labels.read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "precision", "reason"),
    [
        ("tiny", "int8", "its activations are not 8-bit integers"),
        ("tiny_two_signatures", "float", "it has 2 signatures, not one"),
        ("tiny_still", "float", "it has no states"),
        ("clip", "float", "it looks at clips"),
    ],
)
def test_the_command_refuses_what_it_cannot_compile_in_one_line(tiny_model, tmp_path, name, precision, reason):
    model = str(tiny_model.parent / f"{name}.tflite")
    command = [sys.executable, "-m", "compiler", model, "-o", str(tmp_path / "out.tflite"), "--precision", precision]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    assert result.returncode == 3
    assert len(result.stderr.splitlines()) == 1 and model in result.stderr and reason in result.stderr
    assert not (tmp_path / "out.tflite").exists()
