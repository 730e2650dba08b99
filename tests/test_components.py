import errno
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch
from torch import optim

from fmgrid.components import (
    KINDS,
    check_component,
    find_distinct,
    kinds,
    needs_own_process,
    setting_as_taken,
)
from fmgrid.components.kinds import ComponentError
from fmgrid.components.optimizers import OPTIMIZER
from fmgrid.errors import MachineError
from fmgrid.experiment import Experiment

Write = Callable[[str, str], None]

optimizer_signature = OPTIMIZER.signature
TORCH_OPTIMIZERS = [
    name
    for name, value in vars(optim).items()
    if isinstance(value, type)
    and issubclass(value, optim.Optimizer)
    and value is not optim.Optimizer
]


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a module into the current folder, which no longer is one after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(name: str, text: str) -> None:
        Path(f"{name}.py").write_text(text, encoding="utf-8")

    return write


def objection(name: str, rate: float = 1e-3, args: dict[str, object] | None = None) -> str | None:
    experiment = Experiment(
        name="any", optimizer=name, learning_rate=rate, optimizer_args=args or {}
    )
    return check_component("optimizer", experiment, Path())


def objection_to_value(name: str, argument: str, value: object) -> str | None:
    return optimizer_signature(name).objection_to(argument, value)


def resolve_optimizer(name: str) -> type:
    return OPTIMIZER.load(name)


def run_python(script: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    return result.stdout


def has_ended(pid: int) -> bool:
    """Return whether a process ends within some seconds; one that nobody waits for has."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_torch_has_the_optimizers_that_a_grid_would_name() -> None:
    assert {"SGD", "Adam", "AdamW", "RMSprop"} <= set(TORCH_OPTIMIZERS)


@pytest.mark.parametrize("name", [name for name in TORCH_OPTIMIZERS if name != "LBFGS"])
def test_what_a_torch_optimizer_takes_is_what_python_says(name: str) -> None:
    parameters = inspect.signature(getattr(optim, name)).parameters

    signature = optimizer_signature(name)

    assert signature.arguments == set(parameters)
    assert not signature.takes_any
    assert not signature.step_needs


@pytest.mark.parametrize("name", [name for name in TORCH_OPTIMIZERS if name != "LBFGS"])
def test_a_torch_optimizer_is_the_same_by_both_of_its_names(name: str) -> None:
    assert optimizer_signature(f"torch.optim:{name}") == optimizer_signature(name)
    assert resolve_optimizer(f"torch.optim:{name}") is getattr(optim, name)


@pytest.mark.parametrize("name", ["LBFGS", "torch.optim:LBFGS"])
def test_an_optimizer_that_calls_the_loss_itself_is_refused(name: str) -> None:
    with pytest.raises(ComponentError, match="LBFGS calls the loss several times a step"):
        optimizer_signature(name)


def test_looking_up_torchs_optimizers_imports_no_torch() -> None:
    script = """
import sys
from fmgrid.components import KINDS
optimizer_signature = KINDS["optimizer"].signature
from fmgrid.components.kinds import ComponentError
optimizer_signature("Adam")
try:
    optimizer_signature("Adm")
except ComponentError as error:
    print(error)
try:
    optimizer_signature("nonesuch_package:Adam")
except ComponentError as error:
    print(error)
print("torch" in sys.modules)
"""
    assert run_python(script).splitlines() == [
        'torch.optim has no optimizer "Adm"; did you mean Adam?',
        (
            "module nonesuch_package cannot be imported (ModuleNotFoundError: No module named "
            "'nonesuch_package'); install it, or run fmgrid in the folder that holds it"
        ),
        "False",
    ]


@pytest.mark.parametrize("lookup", [optimizer_signature, resolve_optimizer])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("torch.optim:adam", "; did you mean Adam?", id="a near match"),
        pytest.param(
            "torch:Adam", 'module torch has no optimizer class "Adam"', id="another module"
        ),
        pytest.param("os.path:join", "has no optimizer class", id="a function"),
        pytest.param("pathlib:Path", "has no optimizer class", id="a class that is no optimizer"),
        pytest.param("lion_pytorch:", 'no optimizer class ""; it has', id="no class"),
        pytest.param(":Adam", '"" is no module; write "package.module:Class"', id="no module"),
        pytest.param("lion-pytorch:Lion", '"lion-pytorch" is no module', id="a package's name"),
        pytest.param(".lion:Lion", '".lion" is no module', id="a relative module"),
        pytest.param("a:b:Lion", '"a:b" is no module', id="two colons"),
        pytest.param("\x1b[2J:Lion", '"\\u001b[2J" is no module', id="what would clear the screen"),
        pytest.param("lion_pytorch.nonesuch:Lion", "cannot be imported", id="a missing submodule"),
    ],
)
def test_a_name_that_means_no_optimizer_is_refused(
    lookup: Callable[[str], object], name: str, message: str
) -> None:
    with pytest.raises(ComponentError) as caught:
        lookup(name)

    assert message in str(caught.value)


def test_an_optimizer_without_a_learning_rate_is_refused() -> None:
    with pytest.raises(ComponentError, match="takes no lr, so that learning_rate would mean"):
        optimizer_signature("torch.optim:Optimizer")


def test_an_optimizer_of_another_package_is_found() -> None:
    from lion_pytorch import Lion

    signature = optimizer_signature("lion_pytorch:Lion")

    assert resolve_optimizer("lion_pytorch:Lion") is Lion
    assert signature.takes("betas")
    assert not signature.takes("momentum")
    assert objection("lion_pytorch:Lion", 1e-4, {"weight_decay": 0.1}) is None


def test_an_optimizer_in_the_current_folder_is_found(write_module: Write) -> None:
    write_module(
        "optimizer_of_this_folder",
        "from torch.optim import SGD\n"
        "class Mine(SGD):\n"
        "    def __init__(self, params, lr, **others):\n"
        "        super().__init__(params, lr, **others)\n",
    )

    signature = optimizer_signature("optimizer_of_this_folder:Mine")

    assert signature.arguments == {"params", "lr"}
    assert signature.takes("whatever")
    assert objection("optimizer_of_this_folder:Mine", 0.1, {"momentum": 0.9}) is None


def test_an_installed_module_comes_before_one_in_the_current_folder(write_module: Write) -> None:
    write_module("lion_pytorch", "Lion = None\n")

    assert inspect.isclass(resolve_optimizer("lion_pytorch:Lion"))


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        pytest.param("1 / 0", "ZeroDivisionError: division by zero", id="an error"),
        pytest.param("import sys; sys.exit(3)", "SystemExit: 3", id="an exit"),
        pytest.param("raise OSError('two\\nlines')", "OSError: two lines", id="lines"),
        pytest.param("raise KeyError", "KeyError", id="nothing said"),
        pytest.param("def", "SyntaxError: invalid syntax", id="a syntax error"),
        pytest.param(
            "import nonesuch_package",
            "ModuleNotFoundError: No module named 'nonesuch_package')",
            id="what it needs is missing",
        ),
        pytest.param("raise GeneratorExit", "GeneratorExit", id="what is no Exception"),
        pytest.param("raise type('Mine', (BaseException,), {})", "Mine", id="its own kind"),
        pytest.param("raise KeyboardInterrupt", "KeyboardInterrupt", id="an interrupt"),
        pytest.param("raise ValueError('word ' * 10**6)", "ValueError: word word", id="long words"),
        pytest.param(
            "class Mute(Exception):\n    def __str__(self): raise self\nraise Mute",
            "Mute: it cannot say what is wrong",
            id="an error that cannot be told",
        ),
        pytest.param(
            "import os; os._exit(0)", "it ended the process: exit code 0", id="the process's end"
        ),
        pytest.param(
            "import os; os.closerange(0, 1000); os._exit(0)",
            "it ended the process: exit code 0",
            id="files closed, the process's end",
        ),
        pytest.param(
            "print({'classes': {}, 'makes_others': False}, flush=True); import os; os._exit(0)",
            "it ended the process: exit code 0",
            id="an answer that is printed",
        ),
        pytest.param(
            "import signal; signal.raise_signal(signal.SIGALRM)",
            "it ended the process: signal 14, Alarm clock",
            id="a signal",
        ),
        pytest.param(
            "import os; os.abort()", "it ended the process: signal 6, Aborted", id="a crash"
        ),
    ],
)
def test_a_module_that_fails_at_import_is_told_on_one_line(
    write_module: Write, request: pytest.FixtureRequest, statement: str, told: str
) -> None:
    name = f"failing_{abs(hash(request.node.name))}"
    write_module(name, f"{statement}\n")

    with pytest.raises(ComponentError) as caught:
        optimizer_signature(f"{name}:Mine")

    assert str(caught.value).startswith(f"module {name} cannot be imported ({told}")
    assert "\n" not in str(caught.value)
    assert "install" not in str(caught.value)


def test_a_module_whose_import_hangs_is_given_up_with_all_that_it_has_started(
    write_module: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds, "_IMPORT_SECONDS", 2.0)
    child = "subprocess.Popen(['sleep', '600'], start_new_session=True)"
    write_module(
        "hanging_module",
        f"import subprocess, time\nopen('pid', 'w').write(str({child}.pid))\ntime.sleep(600)\n",
    )

    with pytest.raises(ComponentError, match=r"hanging_module .* \(it was killed after 2 s\)"):
        optimizer_signature("hanging_module:Mine")

    assert has_ended(int(Path("pid").read_text()))


def test_a_module_that_spoils_its_process_spoils_no_other(write_module: Write) -> None:
    write_module(
        "spoiling_module",
        "import os, signal, subprocess, sys\n"
        "from torch.optim import SGD\n"
        "class Mine(SGD):\n"
        "    pass\n"
        "open('pid', 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n"
        "print('x' * 10_000_000)\n"
        "os.environ['SPOILED'] = '1'\n"
        "os.chdir('/')\n"
        "os.closerange(0, 1000)\n"
        "signal.alarm(1)\n"
        "sys.setrecursionlimit(100)\n"
        "os.fork()\n",
    )
    here = Path.cwd()

    signature = optimizer_signature("spoiling_module:Mine")

    assert signature == optimizer_signature("torch.optim.sgd:SGD")
    assert "momentum" in signature.arguments
    assert Path.cwd() == here
    assert "SPOILED" not in os.environ
    assert not {"spoiling_module"} & sys.modules.keys()
    assert has_ended(int(Path("pid").read_text()))


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "ulimit -v"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (FileNotFoundError(errno.ENOENT, "No usable temporary directory found"), "TMPDIR"),
    ],
)
def test_a_machine_that_refuses_a_process_for_a_module_is_told_with_the_remedy(
    error: OSError, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(MachineError, match=f"plugged-in code cannot be started: .*{remedy}"):
        optimizer_signature("module_without_a_process:Mine")


def test_a_class_is_asked_about_once_and_a_wrong_name_gets_a_near_match(
    write_module: Write,
) -> None:
    write_module(
        "counting_module",
        "from torch.optim import SGD, Adam\nopen('imports', 'a').write('once')\n",
    )

    for _ in range(2):
        assert optimizer_signature("counting_module:Adam").takes("betas")

    assert Path("imports").read_text() == "once"
    with pytest.raises(ComponentError, match='has no optimizer class "Adm"; did you mean Adam'):
        optimizer_signature("counting_module:Adm")


@pytest.mark.parametrize(
    ("name", "file"), [("random", "random.py"), ("filelock", "filelock/__init__.py")]
)
def test_a_file_that_an_installed_module_hides_is_named(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).touch()
    with pytest.raises(ComponentError, match=f"rename {Path(file).parts[0]} of the current folder"):
        resolve_optimizer(f"{name}:Mine")


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "Rprop"])
def test_an_optimizer_accepts_its_defaults(name: str) -> None:
    assert objection(name) is None


@pytest.mark.parametrize(
    ("name", "args", "told"),
    [
        pytest.param(
            "SGD", {"momentum": -1}, "ValueError: Invalid momentum value: -1", id="a range"
        ),
        pytest.param("Adam", {"betas": 0.9}, "TypeError: ", id="a number for a pair"),
        pytest.param(
            "Adam", {"betas": [0.9, 1.5]}, "ValueError: Invalid beta parameter", id="a pair"
        ),
        pytest.param("SGD", {"nesterov": True}, "ValueError: Nesterov momentum requires", id="two"),
        pytest.param("SGD", {"momentum": "much"}, "TypeError: ", id="text"),
        pytest.param("Adam", {"amsgrad": 0}, "TypeError: ", id="what a fused kernel only refuses"),
        pytest.param("SGD", {"nonesuch": 1}, "TypeError: ", id="an unknown argument"),
        pytest.param(
            "SparseAdam",
            {},
            "RuntimeError: SparseAdam does not support dense gradients",
            id="what shows in the first step only",
        ),
    ],
)
def test_an_optimizers_own_objection_is_returned(
    name: str, args: dict[str, object], told: str
) -> None:
    found = objection(name, args=args)

    assert found is not None
    assert found.startswith(told)
    assert "\n" not in found


def test_checking_an_optimizer_leaves_the_random_numbers_alone() -> None:
    before = torch.get_rng_state()

    objection("SGD")

    assert torch.equal(torch.get_rng_state(), before)


ARGUMENTS = [
    (name, argument, parameter.default)
    for name in TORCH_OPTIMIZERS
    if name not in ("LBFGS", "SparseAdam")
    for argument, parameter in inspect.signature(getattr(optim, name)).parameters.items()
    if argument not in ("params", "lr")
]


@pytest.mark.parametrize(("name", "argument", "default"), ARGUMENTS)
def test_an_argument_of_torchs_optimizers_takes_its_own_type_and_no_other(
    name: str, argument: str, default: object
) -> None:
    def refuses(value: object) -> str | None:
        return objection_to_value(name, argument, value)

    accepted = optimizer_signature(name).types[argument]
    if isinstance(accepted, tuple):
        assert isinstance(default, tuple)
        assert refuses([1] * len(default)) is None
        assert refuses([0.5] * (len(default) + 1)) == f"is not a list of {len(default)} numbers"
        assert refuses(0.5) == f"is not a list of {len(default)} numbers"
        assert refuses([0.5, "0.9", 1][: len(default)]) is not None
    elif accepted == {"bool"}:
        assert refuses(True) is None
        for text in ("False", "false", "no", "OFF", "None", 0):
            assert refuses(text) == "is not true or false; write false"
        for text in ("True", " yes", "on", 1):
            assert refuses(text) == "is not true or false; write true"
        assert refuses("much") == refuses(0.5) == "is not true or false; write true or false"
    elif accepted == {"str"}:
        assert refuses("match_rms_adamw") is None
        assert refuses(1) == refuses(False) == "is not text in quotes"
    else:
        kind = "number" if "float" in accepted else "whole number"
        assert refuses(default) is refuses(5) is None
        assert refuses("5") == f"is not a {kind}; write 5"
        assert refuses(True) == refuses("False") == refuses([5]) == f"is not a {kind}"
        assert (refuses(0.5) is None) == (kind == "number")


def test_what_another_packages_argument_takes_is_its_own_business_but_for_true_and_false(
    write_module: Write,
) -> None:
    write_module(
        "optimizer_with_a_flag",
        "from torch import optim\n"
        "class Mine(optim.SGD):\n"
        "    def __init__(self, params, lr=0.1, flag=False, warm=10):\n"
        "        super().__init__(params, lr)\n",
    )
    name = "optimizer_with_a_flag:Mine"

    assert objection_to_value(name, "flag", "False") == "is not true or false; write false"
    assert objection_to_value(name, "flag", "auto") is None
    assert objection_to_value(name, "warm", "auto") is None
    assert setting_as_taken(("", "", name), ["optimizer_args", "warm"], 1) == 1


@pytest.mark.parametrize(
    ("name", "argument", "written", "taken"),
    [
        ("SGD", "momentum", 0, 0.0),
        ("Adam", "betas", [0, 0.9], [0.0, 0.9]),
        ("SGD", "nesterov", True, True),
        ("Muon", "ns_steps", 5, 5),
        ("Nonesuch", "momentum", 0, 0),
        ("LBFGS", "tolerance_grad", 0, 0),  # it cannot be used, and reading old results must go on
    ],
)
def test_a_whole_number_is_taken_for_a_float_where_torch_takes_a_float(
    name: str, argument: str, written: object, taken: object
) -> None:
    assert repr(setting_as_taken(("", "", name), ["optimizer_args", argument], written)) == repr(
        taken
    )


# All kinds


def test_every_kind_knows_its_built_in_components_and_a_near_match() -> None:
    for setting, name, word in [
        ("dataset", "fashion-mnist", "fashion-mnst"),
        ("network", "MLP", "MPL"),
        ("optimizer", "Adam", "Adm"),
    ]:
        assert not KINDS[setting].signature(name).takes("nonesuch")
        with pytest.raises(ComponentError, match=f'has no .* "{word}"; did you mean {name}'):
            KINDS[setting].signature(word)


def test_a_class_of_another_kind_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"module torch\.optim has no network class"):
        KINDS["network"].signature("torch.optim:SGD")
    assert KINDS["network"].signature("torch.nn:Linear").takes("in_features")


def test_whatever_is_plugged_in_needs_a_process_of_its_own() -> None:
    assert not needs_own_process(Experiment(name="any"))
    assert needs_own_process(Experiment(name="any", optimizer="package.module:Class"))


def test_a_data_set_may_be_anyones_function_and_needs_no_process_of_its_own_in_training() -> None:
    assert not needs_own_process(Experiment(name="any", dataset="package.module:function"))
    assert KINDS["dataset"].signature("statistics:linear_regression").takes("x")
    with pytest.raises(ComponentError, match=r"no data set function .mena.; did you mean mean\?"):
        KINDS["dataset"].signature("statistics:mena")


def test_a_component_is_checked_once_whatever_else_differs() -> None:
    experiments = [
        Experiment(name="any", epochs=epochs, hidden_units=(epochs,), learning_rate=rate)
        for epochs in (1, 2)
        for rate in (0.1, 0.2)
    ]
    rates = [(setting, each.learning_rate) for setting, each in find_distinct(experiments)]
    assert sorted(rates) == [("optimizer", 0.1), ("optimizer", 0.2)]
