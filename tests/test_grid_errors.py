import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fmgrid.errors import InputError
from fmgrid.grid.documents import MAX_BYTES
from fmgrid.grid.reading import MAX_PROBLEMS
from loading import load_grids

Complain = Callable[..., list[str]]


@pytest.fixture
def complain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Complain:
    """Return the lines that a grid file called g.toml is refused with."""
    monkeypatch.chdir(tmp_path)

    def complain_of(text: str | bytes, **options: object) -> list[str]:
        content = text if isinstance(text, bytes) else text.encode()
        Path("g.toml").write_bytes(content)
        return refusal(Path("g.toml"), **options)

    return complain_of


def refusal(*paths: Path, **options: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_grids(paths, **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


BAD = """\
# Everything that can be wrong
name = "bad_{epoch}"
sedes = [1]
batch_size = 3

[base]
epochs = "five"
batchsize = 64
hidden_units = 256
learning_rate = -0.1
optimizer = "Adam"
optimizer_args = { weight_decay = nan, lr = 0.1, betsa = [0.9, 0.99] }

[[grid]]
train_steps = [10, "all", 0]
hidden_units = [256, 128]
seeds = [1, 1]

[[grid]]
name = "second"
epochs = []
optimizer = ["SDG", "Adamm"]
validation = 60000

[[zip]]
epochs = [1, 2]
batch_size = [8, 16, 32]

[[point]]
name = "a/b"
epochs = 1
hidden_units = [8]
learning_rate = 1e-3
optimizer_args.momentum = 0.9

[[point]]
name = "{hidden_units[1]}"
epochs = 1
hidden_units = [8]
learning_rate = 1e-3
repeats = 0

[[point]]
name = "two_lengths"
train_images = 6400
train_steps = 100

[[exclude]]
batch_size = "64"
"""

COMPLAINTS = """\
g.toml:2: name: {epoch} is no setting; did you mean epochs?
g.toml:3: sedes: no such key; did you mean seeds?
g.toml:4: batch_size: stands outside of a table; write batch_size below [base]
g.toml:7: base.epochs: "five" is not a whole number from 1
g.toml:8: base.batchsize: no such setting; did you mean batch_size?
g.toml:9: base.hidden_units: 256 is not a list of whole numbers from 1; write [256] for one layer
g.toml:10: base.learning_rate: -0.1 is not a number greater than 0
g.toml:12: base.optimizer_args.betsa: Adam takes no betsa; did you mean betas?
g.toml:12: base.optimizer_args.lr: lr does not belong here: it is the setting learning_rate
g.toml:12: base.optimizer_args.weight_decay: nan is not a finite number, true, false or text
g.toml:15: grid.train_steps: "all" is not a whole number from 1, or "full"
g.toml:15: grid.train_steps: 0 is not a whole number from 1, or "full"
g.toml:16: grid.hidden_units: 128 is not a list of whole numbers from 1; in [grid] a list is an \
axis: write [[256, 256]] for one network
g.toml:16: grid.hidden_units: 256 is not a list of whole numbers from 1; in [grid] a list is an \
axis: write [[256, 256]] for one network
g.toml:17: grid.seeds: [1, 1] is not a list of different whole numbers from 0; write seeds = \
[0, 1, 2]
g.toml:21: grid.epochs: is an empty axis; write at least one value
g.toml:22: grid.optimizer: torch.optim has no optimizer "Adamm"; did you mean Adam?
g.toml:22: grid.optimizer: torch.optim has no optimizer "SDG"; did you mean SGD?
g.toml:25: zip: the axes are walked together and need equal lengths, but epochs has 2, \
batch_size has 3
g.toml:34: point.optimizer_args.momentum: Adam takes no momentum; it takes amsgrad, betas, \
capturable, decoupled_weight_decay, differentiable, eps, foreach, fused, maximize, weight_decay
g.toml:41: point.repeats: 0 is not a whole number from 1
g.toml:46: point.train_steps: stands beside train_images; write one of the two
g.toml:49: exclude.batch_size: "64" is not a whole number from 1
"""


def test_all_mistakes_are_told_at_once_with_their_places(complain: Complain) -> None:
    assert complain(BAD) == COMPLAINTS.splitlines()


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[base]\nepochs = 0\n")
    (tmp_path / "b.toml").write_text("[base\n")
    (tmp_path / "c.toml").write_text("[grid]\nbatchsize = [1]\n")
    (tmp_path / "empty").mkdir()
    missing = tmp_path / "nonesuch.toml"

    found = refusal(tmp_path, missing, tmp_path / "empty", overrides=["epohcs=1", "train_steps=0"])

    assert [line.replace(f"{tmp_path}/", "") for line in found] == [
        "--set epohcs=1: no such setting; did you mean epochs?",
        '--set train_steps=0: 0 is not a whole number from 1, or "full"',
        "a.toml:2: base.epochs: 0 is not a whole number from 1",
        "b.toml:1: not TOML: expected ']' at the end of a table declaration",
        "c.toml:2: grid.batchsize: no such setting; did you mean batch_size?",
        "empty: holds no grids; name a grid file, or a folder with *.toml files in it",
        (
            "nonesuch.toml: cannot be read: No such file or directory; "
            "name a grid file or a folder of them"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "[base]\n\noptimizer = Adam\n",
            'g.toml:3: not TOML: invalid value; text stands in quotes, as in "Adam"; true and '
            "false have small letters",
            id="a word without quotes",
        ),
        pytest.param(
            "[grid]\nepochs = [1]\n[grid]\n",
            "g.toml:3: not TOML: cannot declare ('grid',) twice; write each [table] once; "
            "[[grid]], in double brackets, may be repeated",
            id="a table twice",
        ),
        pytest.param(
            "[base]\nepochs = 1\nepochs = 2\n",
            "g.toml:3: not TOML: cannot overwrite a value; write each setting once",
            id="a setting twice",
        ),
        pytest.param(
            "[base]\nepochs\n",
            "g.toml:2: not TOML: expected '=' after a key in a key/value pair; "
            "write setting = value",
            id="a setting without value",
        ),
        pytest.param(
            "[grid]\nepochs = [1,\n2\n\n",
            "g.toml:3: not TOML: unclosed array; close what is open",
            id="an array without end",
        ),
        pytest.param(
            "[base]\nepochs = " + "9" * 5000 + "\n",
            "g.toml:2: not TOML: a number has too many digits",
            id="a number that Python refuses to read",
        ),
        pytest.param(
            "", "g.toml: spells out nothing; write [grid], [[point]] or [base]", id="empty"
        ),
        pytest.param(
            "# only\n# comments\n",
            "g.toml: spells out nothing; write [grid], [[point]] or [base]",
            id="only comments",
        ),
        pytest.param(
            b"[base]\n# caf\xe9\n", "g.toml:2: is not UTF-8 text; save it as UTF-8", id="Latin-1"
        ),
        pytest.param(
            "[base]\n".encode("utf-16"),
            "g.toml:1: is not UTF-8 text; save it as UTF-8",
            id="UTF-16",
        ),
        pytest.param(
            b"#" * (MAX_BYTES + 1),
            "g.toml: cannot be read: larger than 1,000,000 bytes; "
            "name a grid file or a folder of them",
            id="too large",
        ),
        pytest.param(
            "[base]\na = " + "[" * 100_000,
            "g.toml: not TOML: values are nested too deeply",
            id="brackets without end",
        ),
        pytest.param(
            "[base]\nhidden_units = " + "[" * 300 + "]" * 300,
            "g.toml:2: not TOML: values are nested over 20 deep",
            id="deeply nested lists",
        ),
        pytest.param(
            "[base]\nx = " + "{a.b.c.d=" * 90 + "1" + "}" * 90,
            "g.toml:2: not TOML: values are nested over 20 deep",
            id="deeply nested tables",
        ),
        pytest.param(
            "[base]\n" + "a." * 400_000 + "b = 1\n",
            "g.toml:2: not TOML: a key has over 20 parts",
            id="a key with very many parts",
        ),
        pytest.param(
            "\n[" + '"\\"".' * 100_000 + "b]\n",
            "g.toml:2: not TOML: a key has over 20 parts",
            id="a quoted key with very many parts",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(
    complain: Complain, text: str | bytes, problem: str
) -> None:
    assert complain(text) == [problem]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        pytest.param(
            "missing",
            "cannot be read: No such file or directory; name a grid file or a folder of them",
            id="nothing",
        ),
        pytest.param(
            "loop",
            "cannot be read: Too many levels of symbolic links; "
            "name a grid file or a folder of them",
            id="a loop",
        ),
        pytest.param(
            "pipe",
            "cannot be read: not a regular file; name a grid file or a folder of them",
            id="a pipe",
        ),
        pytest.param(
            "device",
            "cannot be read: not a regular file; name a grid file or a folder of them",
            id="an endless device",
        ),
        pytest.param(
            "folder",
            "holds no grids; name a grid file, or a folder with *.toml files in it",
            id="an empty folder with the name of a file",
        ),
    ],
)
def test_what_is_no_file_is_refused_without_reading_it(
    tmp_path: Path, kind: str, problem: str
) -> None:
    path = tmp_path / "g.toml"
    if kind == "loop":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()

    assert refusal(path) == [f"{path}: {problem}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "seed = 1",
            "1: seed: no such key; write seeds = [0, 1, 2] at the top of the file",
            id="seed",
        ),
        pytest.param(
            "depth = 1",
            "1: depth: stands outside of a table; write depth below [base]",
            id="depth",
        ),
        pytest.param(
            "gird = 1",
            "1: gird: no such key; did you mean grid?",
            id="a near match",
        ),
        pytest.param(
            "'' = 1",
            '1: "": no such key; there are base, exclude, grid, grids, hypothesis, name, point, '
            "repeats, seeds, timeout, title, zip",
            id="an empty key",
        ),
        pytest.param("base = 3", "1: base: 3 is not a table; write [base]", id="base as a number"),
        pytest.param(
            "[[base]]\nepochs = 3",
            "1: base: [{ epochs = 3 }] is not a table; write [base]",
            id="base as a list",
        ),
        pytest.param(
            "grid = 3", "1: grid: 3 is not a table; write [grid] or [[grid]]", id="grid as a number"
        ),
        pytest.param(
            "grid = []", "1: grid: [] is not a table; write [grid] or [[grid]]", id="no grid at all"
        ),
        pytest.param(
            "zip = [1, 2]",
            "1: zip: [1, 2] is not a table; write [zip] or [[zip]]",
            id="a list of numbers",
        ),
        pytest.param("name = 3", "1: name: 3 is not text in quotes", id="a number as name"),
        pytest.param(
            "[grid]\nname = ['a', 'b']",
            '2: grid.name: ["a", "b"] is not text in quotes',
            id="an axis of names",
        ),
        pytest.param(
            "seeds = 5",
            "1: seeds: 5 is not a list of different whole numbers from 0; write seeds = [0, 1, 2]",
            id="seeds as a number",
        ),
        pytest.param(
            "seeds = [-1]",
            "1: seeds: [-1] is not a list of different whole numbers from 0; "
            "write seeds = [0, 1, 2]",
            id="a negative seed",
        ),
        pytest.param(
            "repeats = true", "1: repeats: true is not a whole number from 1", id="repeats as bool"
        ),
        pytest.param(
            "seeds = [1]\nrepeats = 2",
            "2: repeats: stands beside seeds; write one of the two",
            id="seeds and repeats",
        ),
        pytest.param(
            "[[exclude]]\n[base]",
            "1: exclude: drops everything; name at least one setting",
            id="an empty rule",
        ),
        pytest.param(
            "[[exclude]]\noptimzer = 'SGD'",
            "2: exclude.optimzer: no such setting; did you mean optimizer?",
            id="an unknown setting in a rule",
        ),
        pytest.param(
            "[[exclude]]\ndepth = 'deep'",
            '2: exclude.depth: "deep" is not a whole number',
            id="a rule that never matches",
        ),
        pytest.param(
            "[base]\n[[exclude]]\noptimizer_args.amsgrad = 'False'",
            '3: exclude.optimizer_args.amsgrad: "False" is not true or false; write false',
            id="text for false in a rule",
        ),
        pytest.param(
            "[base]\n[[exclude]]\noptimizer_args = { eps = 1e-8, maximize = [true, 0] }",
            "3: exclude.optimizer_args.maximize: 0 is not true or false; write false",
            id="a number for false among the values of a rule",
        ),
        pytest.param(
            "[base]\n[[exclude]]\noptimizer_args.betas = [0.9, '.99']",
            "3: exclude.optimizer_args.betas: 0.9 is not a list of 2 numbers",
            id="a list that is none in a rule",
        ),
        pytest.param(
            "[base]\n[[exclude]]\noptimizer_args.eps = '.99'",
            '3: exclude.optimizer_args.eps: ".99" is not a number; write 0.99',
            id="text for a number in a rule",
        ),
        pytest.param(
            "[base]\n[[exclude]]\noptimizer = ['Adam', 'SDG']",
            '3: exclude.optimizer: torch.optim has no optimizer "SDG"; did you mean SGD?',
            id="an unknown optimizer in a rule",
        ),
        pytest.param(
            "[[exclude]]\nname = 3",
            '2: exclude.name: 3 is no name; write a pattern as in "units_*"',
            id="a number as pattern",
        ),
        pytest.param(
            "[base]\n[[exclude]]\nepochs = 5",
            "3: exclude: leaves no experiment; drop less",
            id="a rule that leaves nothing",
        ),
        pytest.param(
            "[base]\ntrain_steps = 100\nepochs = 1\ntrain_images = 6400",
            "4: base.train_images: stands beside train_steps; write one of the two",
            id="steps and images in the base",
        ),
        pytest.param(
            "[grid]\ntrain_images = [640, 6400]\ntrain_steps = 100",
            "3: grid.train_steps: stands beside train_images; write one of the two",
            id="images and steps in a block",
        ),
        pytest.param(
            "[base]\n[[exclude]]\ntrain_steps = 100\ntrain_images = 6400",
            "4: exclude.train_images: stands beside train_steps; write one of the two",
            id="steps and images in a rule",
        ),
    ],
)
def test_a_wrong_structure_is_refused(complain: Complain, text: str, problem: str) -> None:
    assert complain(f"{text}\n") == [f"g.toml:{problem}"]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        pytest.param("epochs = 0", "epochs: 0 is not a whole number from 1", id="too small"),
        pytest.param("epochs = 1.5", "epochs: 1.5 is not a whole number from 1", id="a fraction"),
        pytest.param(
            "epochs = true", "epochs: true is not a whole number from 1", id="true is not 1"
        ),
        pytest.param(
            "epochs = '5'", 'epochs: "5" is not a whole number from 1', id="text is not 5"
        ),
        pytest.param(
            "epochs = 2020-01-01", "epochs: 2020-01-01 is not a whole number from 1", id="a date"
        ),
        pytest.param(
            "epochs = 0x" + "f" * 5000,
            f"epochs: 0x{'f' * 75}... is not a whole number from 1",
            id="a number that Python refuses to print",
        ),
        pytest.param(
            "epochs = [1, 2]",
            "epochs: [1, 2] is not a whole number from 1; an axis stands in [grid]",
            id="an axis in the base",
        ),
        pytest.param("epochs = {}", "epochs: {} is not a whole number from 1", id="a table"),
        pytest.param(
            "epochs.x = 1", "epochs.x: epochs is one value; write epochs = ...", id="a part"
        ),
        pytest.param(
            "learning_rate = nan", "learning_rate: nan is not a number greater than 0", id="nan"
        ),
        pytest.param(
            "learning_rate = inf", "learning_rate: inf is not a number greater than 0", id="inf"
        ),
        pytest.param(
            "learning_rate = -0.0",
            "learning_rate: -0.0 is not a number greater than 0",
            id="negative zero",
        ),
        pytest.param(
            "hidden_units = [[8, 8]]",
            "hidden_units: [[8, 8]] is not a list of whole numbers from 1; "
            "an axis stands in [grid]",
            id="a list of networks in the base",
        ),
        pytest.param(
            "hidden_units = [8, 0]",
            "hidden_units: [8, 0] is not a list of whole numbers from 1",
            id="an empty layer",
        ),
        pytest.param(
            "hidden_units.0 = 'x'", 'hidden_units.0: "x" is not a whole number from 1', id="a layer"
        ),
        pytest.param(
            "hidden_units.5 = 8",
            "hidden_units.5: there is no layer 5 among 2 layers, counted from 0; units1, units2 "
            "and so on may add some",
            id="a layer that isn't there",
        ),
        pytest.param(
            "hidden_units.00 = 8",
            "hidden_units.00: is no layer; write hidden_units.0 for the first",
            id="a layer by another name",
        ),
        pytest.param(
            "hidden_units = [" + "1," * 2000 + "]",
            "hidden_units: has 2,000 layers; write at most 1,000",
            id="very many layers",
        ),
        pytest.param(
            "validation = 60000",
            "validation: validation = 60000 leaves none of the 60000 images",
            id="a rule between settings",
        ),
        pytest.param(
            "batch_size = 65\ntrain_images = 64",
            "batch_size: batch_size = 65 exceeds train_images = 64; write one that fits into an "
            "epoch",
            id="a batch larger than an epoch",
        ),
        pytest.param(
            "train_images = 'full'",
            'train_images: "full" is not a whole number from 1',
            id="a word for images",
        ),
        pytest.param(
            "train_images.x = 1",
            "train_images.x: train_images is one value; write train_images = ...",
            id="a part of the images",
        ),
        pytest.param(
            "seeds = [1]",
            "seeds: no setting; it stands at the top of the file, or in [grid], [[zip]] or "
            "[[point]]",
            id="seeds in the base",
        ),
        pytest.param(
            "seed = 1",
            "seed: no such setting; write seeds = [0, 1, 2] at the top of the file",
            id="seed in the base",
        ),
        pytest.param("depth = -1", "depth: -1 is not a whole number from 0", id="depth"),
        pytest.param(
            "'épochs' = 1", 'base."épochs": no such setting; did you mean epochs?', id="an accent"
        ),
        pytest.param(
            '"\\u001b[2Jepochs\\n" = 1',
            'base."\\u001b[2Jepochs\\u000a": no such setting; did you mean epochs?',
            id="what would clear the screen",
        ),
        pytest.param(
            'dataset = "\\u202ex\\u0007"',
            'dataset: fmgrid has no data set "\\u202ex\\u0007"; your own is "images.npz", '
            '"images/" or "package.module:function"; it has cifar10, '
            "cifar100, digits, emnist-letters, fashion-mnist, fashion-mnist-sample, kmnist, mnist",
            id="what would turn text around",
        ),
        pytest.param(
            "optimizer = 'Adagrat'",
            'optimizer: torch.optim has no optimizer "Adagrat"; did you mean Adagrad?',
            id="an optimizer that doesn't exist",
        ),
        pytest.param(
            "optimizer = 'LBFGS'",
            "optimizer: LBFGS calls the loss several times a step, which the training loop does "
            "not offer",
            id="an optimizer that needs a closure",
        ),
        pytest.param(
            "optimizer = 'nonesuch_package:Lion'",
            "optimizer: module nonesuch_package cannot be imported (ModuleNotFoundError: No module "
            "named 'nonesuch_package'); install it, or run fmgrid in the folder that holds it",
            id="an optimizer of a package that isn't there",
        ),
        pytest.param(
            "optimizer_args = 3", "optimizer_args: 3 is not a table of arguments", id="no table"
        ),
        pytest.param(
            "optimizer_args.momentun = 1\noptimizer = 'SGD'",
            "optimizer_args.momentun: SGD takes no momentun; did you mean momentum?",
            id="an argument that doesn't exist",
        ),
        pytest.param(
            "optimizer_args.params = 1",
            "optimizer_args.params: params does not belong here: it is the network's",
            id="an argument that is the network's",
        ),
        pytest.param(
            "optimizer_args.'a b' = 1",
            'optimizer_args."a b": is no name of an argument; write letters, digits and _',
            id="an argument that no function can have",
        ),
        pytest.param(
            "optimizer_args.betas = [0.9, 2020-01-01]",
            "optimizer_args.betas: [0.9, 2020-01-01] is not a finite number, true, false or text",
            id="a date deep in an argument",
        ),
    ],
)
def test_a_wrong_setting_is_refused(complain: Complain, setting: str, problem: str) -> None:
    place = "g.toml:2: " if problem.startswith("base.") else "g.toml:2: base."

    assert complain(f"[base]\n{setting}\n") == [f"{place}{problem}"]


@pytest.mark.parametrize(
    ("grid", "problem"),
    [
        pytest.param(
            "optimizer_args = [{ lr = 1 }]",
            "2: grid.optimizer_args: lr does not belong here: it is the setting learning_rate",
            id="lr in a list of tables",
        ),
        pytest.param(
            "optimizer = ['SGD', 'SGD']\noptimizer_args.momentun = [0, 1]",
            "3: grid.optimizer_args.momentun: SGD takes no momentun; did you mean momentum?",
            id="an argument that none of the optimizers takes",
        ),
        pytest.param(
            "optimizer = ['SGD', 3]\noptimizer_args.foreach = [true]",
            '2: grid.optimizer: 3 is not a class of torch.optim such as "Adam", or '
            '"package.module:Class"',
            id="a number among the optimizers",
        ),
        pytest.param(
            "hidden_units = []",
            "2: grid.hidden_units: is an empty axis; write at least one value",
            id="an empty axis",
        ),
        pytest.param(
            "optimizer = ['SGD', 'Adam']\n[base]\noptimizer_args.nesterov = true",
            "4: base.optimizer_args.nesterov: Adam takes no nesterov; it takes amsgrad, betas, "
            "capturable, decoupled_weight_decay, differentiable, eps, foreach, fused, maximize, "
            "weight_decay; what stands in [grid] goes to those that take it",
            id="an argument in the base that only some take",
        ),
    ],
)
def test_a_wrong_axis_is_refused(complain: Complain, grid: str, problem: str) -> None:
    assert complain(f"[grid]\n{grid}\n") == [f"g.toml:{problem}"]


@pytest.mark.parametrize(
    "lengths",
    [
        pytest.param("epochs = [1, 2, 3]\nbatch_size = [8, 16]", id="three and two"),
        pytest.param("epochs = [1, 2, 3]\nbatch_size = [8]", id="a list of one is not a scalar"),
        pytest.param("epochs = [1, 2, 3]\nbatch_size = []", id="three and none"),
    ],
)
def test_axes_of_unequal_length_are_not_walked_together(complain: Complain, lengths: str) -> None:
    [problem] = complain(f"[[zip]]\n{lengths}\n")

    assert problem.startswith(
        "g.toml:1: zip: the axes are walked together and need equal lengths, but epochs has 3, "
    )


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        pytest.param("{epoch}", "{epoch} is no setting; did you mean epochs?", id="a near match"),
        pytest.param(
            "{seed}",
            "{seed} is not for names; runs of other seeds get _s<seed> by themselves",
            id="the seed",
        ),
        pytest.param(
            "{epochs[0]}", "epochs is one value; write {epochs}", id="an index of a number"
        ),
        pytest.param(
            "{hidden_units[first]}",
            '"{hidden_units[first]}" asks for hidden_units[first], and the experiment has '
            "hidden_units = [256, 256]; set it, or write {hidden_units}",
            id="a layer by name",
        ),
        pytest.param(
            "{hidden_units[2]}",
            '"{hidden_units[2]}" asks for hidden_units[2], and the experiment has '
            "hidden_units = [256, 256]; set it, or write {hidden_units}",
            id="a layer that isn't there",
        ),
        pytest.param(
            "{optimizer_args[momentum]}",
            '"{optimizer_args[momentum]}" asks for optimizer_args[momentum], and the experiment '
            "has optimizer_args = {}; set it, or write {optimizer_args}",
            id="an argument that isn't set",
        ),
        pytest.param(
            "{train_images}",
            '"{train_images}" asks for train_images, and the experiment has train_steps = 100; '
            "set it, or write {train_steps}",
            id="images where there are steps",
        ),
        pytest.param(
            "{epochs",
            "\"{epochs\" is no template (expected '}' before end of string); "
            "write fields as in epochs_{epochs}",
            id="an open brace",
        ),
        pytest.param(
            "{learning_rate:d}",
            '"{learning_rate:d}" does not fit the values '
            "(Unknown format code 'd' for object of type 'float')",
            id="a format that doesn't fit",
        ),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(
    complain: Complain, template: str, problem: str
) -> None:
    assert complain(f"name = '{template}'\n") == [f"g.toml:1: name: {problem}"]


@pytest.mark.parametrize(
    "field",
    [
        pytest.param("{hidden_units.__class__}", id="an attribute"),
        pytest.param("{hidden_units[-1]}", id="a negative index"),
        pytest.param("{epochs!r}", id="a conversion"),
        pytest.param("{epochs:999999999}", id="a width that fills the memory"),
        pytest.param("{epochs:{depth}}", id="a field in a format"),
        pytest.param("{learning_rate:.999999999f}", id="a precision that fills the memory"),
        pytest.param("{}", id="nothing"),
        pytest.param("{0}", id="a number"),
    ],
)
def test_a_field_that_is_none_is_told_as_it_was_written(complain: Complain, field: str) -> None:
    assert complain(f"name = 'x_{field}'\n") == [
        (
            f"g.toml:1: name: {field} is no field for a name; write {{epochs}}, "
            "{hidden_units[0]}, {optimizer_args[momentum]} or {learning_rate:g}"
        )
    ]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("a b", id="a space"),
        pytest.param("a/b", id="a slash"),
        pytest.param("..", id="the folder above"),
        pytest.param(".hidden", id="hidden"),
        pytest.param("dot.", id="a dot at the end"),
        pytest.param("-rf", id="an option"),
        pytest.param("é", id="an accent"),
        pytest.param("a:b", id="a colon"),
        pytest.param("{{epochs}}", id="braces"),
    ],
)
def test_an_unsafe_name_is_refused(complain: Complain, name: str) -> None:
    [problem] = complain(f"name = '{name}'\n")

    assert problem.startswith("g.toml:1: name: ")
    assert problem.endswith(
        'is no safe folder name; begin with a letter, a digit or "_", and go on with these and '
        '"-", "+", "=" or, inside, "."'
    )


@pytest.mark.parametrize("name", ["CON", "nul.txt", "Com1", "readme.md", "experiment_summary.csv"])
def test_a_reserved_name_is_refused(complain: Complain, name: str) -> None:
    assert complain(f"name = '{name}'\n") == [
        f'g.toml:1: name: "{name}" is a reserved name; choose another'
    ]


def test_a_name_may_be_a_hundred_characters_with_its_seed(complain: Complain) -> None:
    name = "x" * 100
    told = f"\"{name[:76]}... has {{}} characters; a folder's name has at most 100"

    assert complain(f"name = '{name}x'\n") == [f"g.toml:1: name: {told.format(101)}"]
    assert complain(f"seeds = [0, 1]\nname = '{name}'\n[base]\n") == [
        f"g.toml:1: name: {told.format(103)}"
    ]


def test_a_made_up_name_that_is_unsafe_asks_for_one(tmp_path: Path) -> None:
    file = tmp_path / "my grid.toml"
    file.write_text("\n[[point]]\n")

    [problem] = refusal(file)

    assert problem.startswith(f'{file}:2: name: "my grid" is no safe folder name; begin')
    assert problem.endswith('; write a name for it, as in name = "epochs_{epochs}"')


def test_two_experiments_of_one_name_are_refused_with_both_places(tmp_path: Path) -> None:
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text("[[point]]\nname = 'a'\nepochs = 1\n")
    other.write_text("\n\n[[point]]\nname = 'a'\nbatch_size = 8\nepochs = 2\n")

    assert refusal(one, other) == [
        (
            f'{other}:3: name: "a" is also made at {one}:1, and here with epochs 1 -> 2, '
            "batch_size 64 -> 8; choose another name, or put {epochs} into it"
        )
    ]


def test_of_two_experiments_of_one_name_what_one_lacks_is_no_way_to_tell_them_apart(
    complain: Complain,
) -> None:
    text = "name = 'a'\n[[point]]\ntrain_steps = 100\n[[point]]\ntrain_images = 6400\n"
    told = 'g.toml:4: name: "a" is also made at g.toml:2, and here with '
    lengths = "train_steps 100 -> none, train_images none -> 6400"

    assert complain(text) == [f"{told}{lengths}; choose another name"]
    assert complain(f"{text}batch_size = 8\n") == [
        f"{told}{lengths}, batch_size 64 -> 8; choose another name, or put {{batch_size}} into it"
    ]


def test_names_that_differ_in_case_alone_are_refused(complain: Complain) -> None:
    text = "[[point]]\nname = 'a'\nepochs = 1\n[[point]]\nname = 'A'\nepochs = 2\n"

    assert complain(text) == [
        (
            'g.toml:4: name: "A" is one folder with "a" at g.toml:1 on macOS and Windows; '
            "choose names that differ in more than case"
        )
    ]


def test_a_name_that_looks_like_a_seed_of_another_is_refused(complain: Complain) -> None:
    text = "[[point]]\nname = 'a'\nseeds = [0, 1]\n[[point]]\nname = 'a_s1'\nepochs = 2\n"

    assert complain(text) == [
        (
            'g.toml:4: name: "a_s1" with seed 0 has the folder a_s1 of "a" with seed 1 '
            "at g.toml:1; choose a name that does not end in _s and a number"
        )
    ]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        pytest.param("epochs", "has no value; write --set setting=value", id="no value"),
        pytest.param("epochs=", '"" is not a whole number from 1', id="an empty value"),
        pytest.param("epochs=0", "0 is not a whole number from 1", id="out of range"),
        pytest.param("epohcs=1", "no such setting; did you mean epochs?", id="a near match"),
        pytest.param(
            "batch_size=[8, 16]",
            "[8, 16] is not a whole number from 1; an axis stands in [grid]",
            id="an axis",
        ),
        pytest.param(
            "seeds=[1]", "is no setting; write --seeds 0,1,2 or --timeout 60s", id="seeds"
        ),
        pytest.param("name={epoch}", "{epoch} is no setting; did you mean epochs?", id="a name"),
        pytest.param(
            "units0=3", "no such setting; did you mean units?", id="layers are counted from 1"
        ),
        pytest.param(
            "optimizer=Adm",
            'torch.optim has no optimizer "Adm"; did you mean Adam?',
            id="an optimizer",
        ),
        pytest.param(
            "optimizer_args={lr=1}",
            "lr does not belong here: it is the setting learning_rate",
            id="lr in a table",
        ),
        pytest.param(
            "hidden_units.5=8",
            "there is no layer 5 among 2 layers, counted from 0; units1, units2 and so on may add "
            "some",
            id="a layer that isn't there",
        ),
        pytest.param(
            "epochs=\udcff", '"\\udcff" is not a whole number from 1', id="no text at all"
        ),
        pytest.param(
            "epochs=" + "[" * 50, f'"{"[" * 50}" is not a whole number from 1', id="brackets"
        ),
    ],
)
def test_an_override_is_checked_like_the_file(
    complain: Complain, override: str, problem: str
) -> None:
    shown = override.encode("utf-8", "backslashreplace").decode()

    assert complain("[base]\n", overrides=[override]) == [f"--set {shown}: {problem}"]


def test_a_selection_of_nothing_is_refused(complain: Complain) -> None:
    assert complain("[grid]\nepochs = [1, 2]\n", only=["units_*", "x"]) == [
        "--only units_* --only x: matches no run; there are epochs_1, epochs_2"
    ]


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param("epochs = []\nname = '{optimizer_args[eps]}'", id="an empty axis"),
        pytest.param("optimizer_args.'' = 1\nname = '{optimizer_args[eps]}'", id="a wrong key"),
        pytest.param(
            "name = '{epoch}'\noptimizer = 'Muon'\noptimizer_args.adjust_lr_fn = ['x y', 'z']",
            id="a wrong template",
        ),
    ],
)
def test_one_mistake_is_not_followed_by_complaints_about_names(
    complain: Complain, mistake: str
) -> None:
    assert len(complain(f"[grid]\n{mistake}\n")) == 1


def test_what_all_points_suffer_from_is_told_once(complain: Complain) -> None:
    text = "[base]\noptimizer = 'Adm'\n[grid]\nepochs = [1, 2]\nbatch_size = [8, 16, 0]\n"

    assert complain(text) == [
        'g.toml:2: base.optimizer: torch.optim has no optimizer "Adm"; did you mean Adam?',
        "g.toml:5: grid.batch_size: 0 is not a whole number from 1",
    ]


def test_of_many_alike_a_few_are_told_and_the_others_counted(complain: Complain) -> None:
    found = complain("name = 'e {epochs}'\n[grid]\nepochs = " + str(list(range(1, 1001))))

    assert len(found) == 5
    assert sum(line.endswith(" (and 995 more like this)") for line in found) == 1


def test_after_a_thousand_mistakes_in_a_file_reading_stops(complain: Complain) -> None:
    found = complain("[base]\n" + "".join(f"q{number} = 1\n" for number in range(5_000)))

    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == f"g.toml:{MAX_PROBLEMS + 1}: has more mistakes; mend these first"


def test_a_million_axes_are_refused(complain: Complain) -> None:
    axes = ", ".join(f"a{number} = [1, 2]" for number in range(50_000))

    assert complain(f"grid = {{ optimizer_args = {{ {axes} }} }}\n")[0].startswith(
        "g.toml: spells out more than 10^18 of more than 10^18 runs"
    )


def test_a_module_that_fails_is_imported_once(
    complain: Complain, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "failing_module_of_a_grid.py").write_text(
        "print('tried')\nopen('tries', 'a').write('once')\nraise OSError('no')\n"
    )
    text = "[base]\noptimizer = 'failing_module_of_a_grid:X'\n[grid]\nepochs = [1, 2, 3]\n"

    found = complain(text)

    assert found == [
        "g.toml:2: base.optimizer: module failing_module_of_a_grid cannot be imported (OSError: no)"
    ]
    assert (tmp_path / "tries").read_text() == "once"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ('maximize = "False"', '"False" is not true or false; write false'),
        ("amsgrad = 0", "0 is not true or false; write false"),
        ('weight_decay = "0.1"', '"0.1" is not a number; write 0.1'),
        ("betas = [0.9]", "[0.9] is not a list of 2 numbers"),
        ('betas = ["0.9", 0.99]', '["0.9", 0.99] holds a value that is not a number; write 0.9'),
    ],
)
@pytest.mark.parametrize("axis", [False, True])
def test_an_argument_of_another_type_is_refused_with_its_line(
    complain: Complain, argument: str, problem: str, axis: bool
) -> None:
    key, _, value = argument.partition(" = ")
    text = f"[grid]\nepochs = [1, 2]\noptimizer_args.{key} = [{value}]\n"
    base = f"[base]\n\noptimizer_args.{argument}\n"
    where = "grid" if axis else "base"

    assert complain(text if axis else base) == [
        f"g.toml:3: {where}.optimizer_args.{key}: {problem}"
    ]


@pytest.mark.parametrize(
    ("word", "instead"),
    [
        ("True", "write true"),
        ("False", "write false"),
        ("None", "leave the setting out, and it keeps its default"),
    ],
)
@pytest.mark.parametrize("setting", ["optimizer_args.maximize", "epochs", "optimizer_args.any"])
def test_pythons_words_on_the_command_line_are_answered(
    tmp_path: Path, setting: str, word: str, instead: str
) -> None:
    grid = tmp_path / "g.toml"
    grid.write_text("[base]\nepochs = 1\n")

    assert refusal(grid, overrides=[f"{setting}={word}"]) == [
        f"--set {setting}={word}: {word} is Python's word; {instead}"
    ]
