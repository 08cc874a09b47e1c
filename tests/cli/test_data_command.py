import hashlib
import subprocess
import sys
from types import ModuleType

import pytest

from stn_bench.cli.data import main
from stn_bench.data import sources
from stn_bench.data.download import SourceError
from stn_bench.data.mnist import MNIST_FILES, Expected
from stn_bench.data.sources import Source

CONTENTS = {
    "train-images-idx3-ubyte": b"many digits",
    "train-labels-idx1-ubyte": b"what they are",
    "t10k-images-idx3-ubyte": b"other digits",
    "t10k-labels-idx1-ubyte": b"what those are",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the command, empty; "MNIST" is a few bytes, and a shelf has them."""
    small = {name: Expected(hashlib.sha256(content).hexdigest(), len(content)) for name, content in CONTENTS.items()}
    for name, expected in small.items():
        monkeypatch.setitem(MNIST_FILES, name, expected)
    monkeypatch.setattr(sources, "mnist_sources", lambda: [Source("shelf", CONTENTS.__getitem__)])
    monkeypatch.setenv("STN_DATA_DIR", str(tmp_path))
    return tmp_path / "mnist"


@pytest.fixture
def figures(monkeypatch):
    """What the preview asks to be drawn, by a stand-in for the module that draws."""
    drawn = []
    module = ModuleType("stn_bench.cli.preview")
    module.distortion_sheet = lambda *arguments: drawn.append(arguments)
    monkeypatch.setitem(sys.modules, "stn_bench.cli.preview", module)
    return drawn


def test_path_prints_the_folder(folder, capsys):
    assert main(["path"]) == 0
    assert capsys.readouterr().out == f"{folder}\n"


def test_fetch_prints_the_folder_and_who_gave_each_file(folder, capsys):
    assert main(["fetch"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(folder), *(f"{name}  shelf" for name in CONTENTS)]
    assert {name: (folder / name).read_bytes() for name in CONTENTS} == CONTENTS


def test_fetch_twice_finds_the_files_there(capsys):
    main(["fetch"])
    capsys.readouterr()
    assert main(["fetch"]) == 0
    assert capsys.readouterr().out.count("already there") == len(CONTENTS)


def test_verify_exits_0_where_all_files_are_right(capsys):
    main(["fetch"])
    capsys.readouterr()
    assert main(["verify"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [f"{name}  right" for name in CONTENTS]
    assert "fetch" not in printed.err


def test_verify_says_what_is_wrong_with_each_file_and_mends_nothing(folder, capsys):
    main(["fetch"])
    capsys.readouterr()
    (folder / "train-images-idx3-ubyte").unlink()
    (folder / "t10k-labels-idx1-ubyte").write_bytes(b"cut")
    assert main(["verify"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "train-images-idx3-ubyte  missing",
        "train-labels-idx1-ubyte  right",
        "t10k-images-idx3-ubyte  right",
        "t10k-labels-idx1-ubyte  3 bytes found, 14 expected",
    ]
    assert printed.err == f"stn-data: not all files in {folder} are right: stn-data fetch mends them\n"
    assert main(["verify"]) == 1


def test_fetch_without_a_source_says_why_and_exits_1(monkeypatch, capsys):
    def read(name):
        raise SourceError("connection refused")

    monkeypatch.setattr(sources, "mnist_sources", lambda: [Source("far", read)])
    assert main(["fetch"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("stn-data: MNIST is not complete in ")
    assert "far: connection refused" in printed.err


def test_a_folder_that_cannot_be_made_is_one_line_on_stderr(folder, capsys):
    folder.write_text("a file in its place")
    assert main(["fetch"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("stn-data: ")
    assert str(folder) in error
    assert error.count("\n") == 1


def test_preview_draws_the_named_sets_and_prints_the_file(figures, capsys):
    assert main(["preview", "--output", "sheet.png", "--sets", "r,p", "--count", "3", "--seed", "7"]) == 0
    assert figures == [("sheet.png", ["r", "p"], 3, 7, [], None)]
    assert capsys.readouterr().out == "sheet.png\n"


def test_preview_has_defaults(figures):
    assert main(["preview"]) == 0
    assert figures == [("preview.png", ["r", "rts", "p", "e"], 12, 1, [], None)]


@pytest.mark.parametrize("before", [0, 1, 2])
def test_preview_takes_the_words_of_stn_train_anywhere_and_a_folder_of_configs(figures, before):
    words, options = ["trusted=[mine]", "data.distortion.shear=1"], ["--config-dir", "conf", "--sets", "shear"]
    assert main(["preview", *words[:before], *options, *words[before:]]) == 0
    assert figures == [("preview.png", ["shear"], 12, 1, words, "conf")]


def test_a_set_that_does_not_exist_is_one_line_on_stderr(figures, monkeypatch, capsys):
    def refuse(path, names, *_):
        raise ValueError(f"no data set is called {names[0]}")

    monkeypatch.setattr(sys.modules["stn_bench.cli.preview"], "distortion_sheet", refuse)
    assert main(["preview", "--sets", "rst"]) == 1
    assert capsys.readouterr().err == "stn-data: no data set is called rst\n"


MISSPELT = [[], ["fetsh"], ["path", "r"], ["preview", "--count", "many"], ["preview", "a=1", "--seed", "1", "--cuont"]]


@pytest.mark.parametrize("arguments", MISSPELT)
def test_a_misspelt_command_line_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: stn-data" in capsys.readouterr().err


def test_help_names_every_command_and_does_not_wait_for_torch():
    script = """
import sys
from stn_bench.cli.data import main
try:
    main(["--help"])
except SystemExit as end:
    sys.exit(end.code or "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("fetch", "verify", "path", "preview"):
        assert f"\n    {command} " in done.stdout
