"""Every option of every command with values that nobody should give: refused in one sentence, or carried out."""

from __future__ import annotations

import argparse
import re
import time

import pytest
import torch

from nstlib import TransformerNet, images
from nstlib.cli.main import build_parser, main

pytest.importorskip("accelerate")

HUGE = str(10**19)
VALUES = ["nan", "inf", "-1", "0", HUGE, "-" + HUGE, "", "\0", "[1, 2]", "word", "a\nb", "9" * 5000]
"""Given to each option in turn."""

MOST_SECONDS = 5
"""Of the processor, so that a busy machine does not count."""


def actions(command: str) -> list[argparse.Action]:
    """Return the options and arguments of a command that take a value, as the parser has them."""
    commands = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return [a for a in commands.choices[command]._actions if a.nargs != 0]


def commands() -> list[str]:
    return list(next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)).choices)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of 16 pixels and a network, so that a value that is accepted costs little."""
    root = tmp_path_factory.mktemp("values")
    generator = torch.Generator().manual_seed(0)
    for name in ("photo", "style", "photos/a", "photos/b"):
        images.save(torch.rand(1, 3, 16, 16, generator=generator), root / f"{name}.png")
    TransformerNet("conditional", styles=2, width=1, blocks=0).save(root / "net.safetensors")
    return root


ARGUMENTS = {
    "transfer": "photo.png style.png -o out.png --size 16 --steps 1 --quiet",
    "texture": "style.png -o out.png --size 16 --steps 1 --quiet",
    "demo": "-o demo.png --size 32 --steps 1",
    "info": "",
    "stylize": "photo.png --model net.safetensors -o painted --size 16 --quiet",
    "models": "",
    "export": "net.safetensors -o net.onnx",
    "train": "--photos photos --styles style.png --output run --overwrite --steps 1 --size 32 --style-size 32 "
    "--batch 1 --width 1 --blocks 0 --content-layers relu1_1 --style-layers relu1_1 --quiet",
}
"""A command line of each command that works, with little to do."""


def with_value(command: str, action: argparse.Action, value: str) -> list[str]:
    """Return a command line that works but for one value."""
    words = ARGUMENTS[command].split()
    if not action.option_strings:  # an argument by place: they come first, in order
        places = [a.dest for a in actions(command) if not a.option_strings]
        words[places.index(action.dest)] = value
        return [command, *words]
    option = action.option_strings[-1]
    return [command, *words, f"{option}={value}"]


def outcome(words: list[str]) -> int:
    """Run a command line; what argparse refuses has the status 2, too."""
    try:
        return main(words)
    except SystemExit as stop:
        return int(stop.code or 0)


def test_the_options_are_found():
    assert set(commands()) == set(ARGUMENTS)
    assert {"steps", "seed", "workers", "config", "recipe", "output"} <= {a.dest for a in actions("train")}


@pytest.mark.parametrize("command", commands())
def test_every_option_refuses_in_one_sentence_or_works(command, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    parser = build_parser()
    monkeypatch.setattr("nstlib.cli.main.build_parser", lambda: parser)  # making it takes longer than most calls
    monkeypatch.setattr("nstlib.cli.networks.export_onnx", lambda net, path: path)
    monkeypatch.setattr("nstlib.cli.networks.check_onnx", lambda *_: 0.0)
    assert outcome([command, *ARGUMENTS[command].split()]) == 0, capsys.readouterr().err
    wrong = []
    for action in actions(command):
        for value in VALUES:
            capsys.readouterr()
            words, begin = with_value(command, action, value), time.process_time()
            try:
                status: object = outcome(words)
            except BaseException as error:  # a raw error: what this test is about
                status = repr(error)[:200]
            seconds, lines = time.process_time() - begin, capsys.readouterr().err.splitlines()
            refused = status == 2 and len(lines) == 1 and lines[0].startswith("nst: ")
            if not (refused or status == 0) or seconds > MOST_SECONDS:
                wrong.append((action.dest, value[:30], status, round(seconds, 1), lines[-3:]))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.json", b"[1, 2]", "no settings with names, but a list"),
        ("number.json", b"7", "no settings with names, but a int"),
        ("deep.json", b"[" * 200_000, "nests too deeply"),
        ("deep.toml", b"a = " + b"[" * 50_000, "nests too deeply"),
        ("huge.json", b'{"steps": 1' + b"0" * 4000 + b"}", "steps must be .*at most"),
        ("float.json", b'{"learning_rate": 1' + b"0" * 400 + b"}", "learning_rate"),
        ("huge.toml", b"seed = 1" + b"0" * 400, "seed must be .*at most"),
        ("nan.json", b'{"content_weight": NaN}', "content_weight must be a number >= 0"),
        ("nan.toml", b"crop = nan", "crop"),
        ("twice.json", b'{"steps": 1, "steps": 2}', "a name is there twice"),
        ("twice.toml", b"steps = 1\nsteps = 2", "not valid TOML"),
        ("binary.toml", bytes(range(256)), "not valid TOML"),
        ("latin.json", '{"photos": "\xe9"}'.encode("latin-1"), "not valid JSON"),
        ("long.toml", b"#" * 2_000_000, "too long"),
        ("nested.json", b'{"steps": {"a": [1, 2]}}', "not of the type int"),
        ("wide.json", b'{"samples": [' + b"1, " * 90_000 + b"1]}", "not a list of texts"),
        ("key.json", b'{"' + b"x" * 10_000 + b'": 1}', "there is no setting"),
        ("zero.json", b'{"photos": "a\\u0000b"}', "not the name of a file"),
        ("recipe.json", b'{"recipe": ["course"]}', "there is no recipe"),
        ("empty.json", b"", "not valid JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_configuration_files_are_refused_in_one_sentence(folder, monkeypatch, capsys, name, content, message):
    monkeypatch.chdir(folder)
    (folder / name).write_bytes(content)
    assert main(["train", "--config", name, "--styles", "style.png"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert re.search(message, lines[0])
    assert len(lines[0]) < 1500


def test_configuration_files_that_are_no_file_or_begin_with_a_byte_order_mark(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["train", "--config", "photos"]) == 2
    assert "cannot be read" in capsys.readouterr().err
    (folder / "windows.toml").write_bytes(b"\xef\xbb\xbfsteps = 0")
    assert main(["train", "--config", "windows.toml"]) == 2
    assert "steps must be" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused_before_the_work(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("nstlib.cli.pictures.transfer", lambda *_, **__: pytest.fail("the work has begun"))
    (folder / "out_sheet.jpg").mkdir()
    assert main(["transfer", "photo.png", "style.png", "-o", "out.png", "--report"]) == 2
    assert "out_sheet.jpg' is a folder" in capsys.readouterr().err
    (folder / "out_sheet.jpg").rmdir()
    (folder / "out.json").mkdir()
    assert main(["transfer", "photo.png", "style.png", "-o", "out.png", "--report"]) == 2
    assert "out.json' is a folder" in capsys.readouterr().err


def test_ctrl_c_outside_of_a_loop_is_one_line(monkeypatch, capsys):
    def interrupt() -> dict[str, str]:
        raise KeyboardInterrupt

    monkeypatch.setattr("nstlib.cli.pictures.describe", interrupt)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "nst: interrupted.\n"
