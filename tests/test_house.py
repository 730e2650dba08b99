"""The house rules that a reader may rely on: who knows whom, and that the pages tell the truth."""

import ast
import re
import shlex
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from fmgrid.experiment import Experiment
from fmgrid.results.summary import COLUMNS
from loading import load_grids

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "fmgrid"
README = (ROOT / "README.md").read_text()
GRIDS = (ROOT / "docs" / "grids.md").read_text()
TABLES = (ROOT / "docs" / "tables.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text()

# Lowest first: a room may import those before it, and no others.
ROOMS = [
    *("words", "errors", "system", "experiment", "settings", "metrics"),
    *("data", "components", "results", "hypotheses", "grid", "training", "search", "execution"),
    *("analysis", "pages", "plots", "reporting", "cli"),
]
# Libraries whose words only one room speaks.
OWNERS = {
    "mltrainer": {"training"},
    "loguru": {"training"},
    "tensorboard": {"results"},
    "pandas": {"results", "analysis"},
    "scipy": {"analysis"},
    "matplotlib": {"plots"},
    "tomlkit": {"results"},
    "rich": {"cli"},
    "typer": {"cli"},
    "tree_sitter": {"grid"},
    "jinja2": {"pages"},
    "markdown_it": {"pages"},
    "pydantic": {"experiment", "hypotheses", "grid", "results"},
    "torch": {"components", "data", "training"},
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or late."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    direct = (alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names)
    of = (
        f"{node.module}.{alias.name}" if node.module == "fmgrid" else str(node.module)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    )
    return set(chain(direct, of))


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


MODULES = [
    path for path in sorted(SOURCE.rglob("*.py")) if room(path) not in ("__init__", "__main__")
]


def test_every_room_has_its_place_in_the_order() -> None:
    assert {room(path) for path in MODULES} == set(ROOMS)


def test_the_architecture_lists_the_rooms_in_their_order() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", ARCHITECTURE, flags=re.M)
    assert re.findall(r"`(\w+)/?`", " ".join(rows)) == ROOMS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downwards_only(path: Path) -> None:
    known = {name.split(".")[1] for name in imports(path) if name.startswith("fmgrid.")}
    allowed = {"__version__", *ROOMS[: ROOMS.index(room(path)) + 1]}
    assert known <= allowed


@pytest.mark.parametrize("library", OWNERS)
def test_a_librarys_words_are_spoken_in_few_rooms(library: str) -> None:
    speakers = {
        room(path)
        for path in MODULES
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert speakers == OWNERS[library]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_says_its_role(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


# The README


def section(title: str) -> str:
    return re.split(rf"^## {re.escape(title)}$", README, flags=re.M)[1].split("\n## ")[0]


def test_the_readme_is_read_in_a_few_minutes() -> None:
    assert len(README.split()) <= 1500


def test_the_tree_shows_every_file_and_no_other() -> None:
    shown: set[str] = set()
    stack: list[str] = []
    for line in ARCHITECTURE.split("## Files")[1].split("```")[1].splitlines()[2:]:
        match = re.match(r"([│├└─ ]*)([\w./-]+)", line)
        assert match, line
        stack[len(match[1]) // 4 - 1 :] = [match[2].rstrip("/")]
        shown.add("/".join(stack))
    spelled_out = {str(parent) for path in shown for parent in Path(path).parents}
    covering = shown - spelled_out  # files, and folders shown as a whole
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = listing.stdout.split()
    assert tracked
    for path in tracked:
        assert {path, *map(str, Path(path).parents)} & covering, f"{path} is not in the tree"
    for path in shown:
        assert (ROOT / path).exists(), f"{path} is in the tree, and nowhere else"


def test_the_settings_table_is_the_experiments_fields_with_their_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?:`(.*?)`|none) \|", GRIDS, flags=re.M)
    fields = {name: info.default for name, info in Experiment.model_fields.items()}
    assert [name for name, _ in rows] == [n for n in fields if n not in ("name", "seed")]
    for name, text in rows:
        default = fields[name]
        shown = tomllib.loads(f"default = {text}")["default"] if text else None
        assert (tuple(shown) if isinstance(shown, list) else shown) == default


def test_the_columns_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", TABLES, flags=re.M)
    assert re.findall(r"`(\w+)`", " ".join(rows)) == list(COLUMNS)


# Options in README's table that are not those of `run`.
ELSEWHERE = {
    *("--history", "--by-experiment", "--reference", "--open", "-o", "--install-completion"),
    *("--where", "--sort", "--columns", "--csv", "--gone"),
}


def test_the_commands_and_options_exist() -> None:
    for words in set(re.findall(r"fmgrid (\w+)", section("Commands"))):
        done = subprocess.run(
            ["fmgrid", words, "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, words
    helped = subprocess.run(
        ["fmgrid", "run", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in re.findall(r"`(-[-a-z]+)", section("Commands")):
        if option not in ELSEWHERE:
            assert option in helped, option


def test_the_two_commands_are_what_ci_runs() -> None:
    install = re.findall(r"^\$ (python3 .*)$", README, flags=re.M)[0]
    (check,) = re.findall(r"^\$ (.*)$", section("For contributors"), flags=re.M)
    assert install.endswith(".venv/bin/fmgrid run configs/epochs.toml --seeds 0,1,2")
    assert check == "bash scripts/check.sh"
    assert check in (ROOT / ".ci" / "run").read_text()


def test_what_it_shows_of_mistakes_is_what_fmgrid_says() -> None:
    shown = re.search(r"<!-- output of: (fmgrid plan .*?) -->\n```console\n(.*?)```", GRIDS, re.S)
    assert shown
    done = subprocess.run(
        shlex.split(shown[1]), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert shown[2] == f"$ {shown[1]}\n{done.stderr}"


def test_the_files_that_it_quotes_are_as_quoted() -> None:
    quoted = re.findall(r"<!-- file: (.*?) -->\n```toml\n(.*?)```", README, re.S)
    assert quoted
    for path, text in quoted:
        assert (ROOT / path).read_text() == text


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/architecture.md",
        "docs/data.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/glossary.md",
        "docs/grids.md",
        "docs/networks.md",
        "docs/notebook.md",
        "docs/replication/README.md",
        "docs/replication/report.md",
        "docs/replication/beyond/report.md",
        "docs/performance.md",
        "docs/reliability.md",
        "docs/statistics.md",
        "docs/studies.md",
        "docs/tables.md",
        "modellogs/README.md",
    ],
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\((?!http)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_the_files_that_a_page_for_contributors_names_are_there(page: str) -> None:
    named = re.findall(r"`((?:src|tests|scripts)/[\w/.]+\.\w+)`", (ROOT / page).read_text())
    assert named or page != "CONTRIBUTING.md"
    for path in named:
        assert (ROOT / path).exists(), path


def test_the_tests_that_the_page_on_reliability_names_are_there() -> None:
    named = re.findall(r"`(tests/\w+\.py)(?:::(\w+))?`", RELIABILITY)
    assert len(named) > 40
    for path, test in named:
        text = (ROOT / path).read_text()
        assert not test or f"\ndef {test}(" in text, f"{path} has no {test}"


def test_nothing_is_unpickled_but_what_comes_from_our_own_workers() -> None:
    loads = re.compile(
        r"(?<![.\w])(pickle\.Unpickler|(?:pickle\.loads?|torch\.load|np\.load|eval|exec)(?=\())"
    )
    found = {
        str(path.relative_to(SOURCE)): loads.findall(path.read_text())
        for path in SOURCE.rglob("*.py")
        if loads.search(path.read_text())
    }
    # numpy's reads no pickles unless it is told to.
    assert all("allow_pickle=True" not in path.read_text() for path in SOURCE.rglob("*.py"))
    assert {path: set(calls) for path, calls in found.items()} == {
        "data/batches.py": {"np.load"},
        "data/formats.py": {"pickle.Unpickler"},  # which makes arrays only, of verified files
        "data/own_arrays.py": {"np.load"},
        "execution/answers.py": {"pickle.Unpickler"},  # which makes values of known classes only
        "execution/__init__.py": {"pickle.loads"},
    }


def test_the_grid_in_the_guide_means_what_the_guide_says(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "grids.md").read_text()
    grid = tmp_path / "guide.toml"
    grid.write_text(re.search(r"```toml\n(.*?)```", text, re.S)[1])  # type: ignore[index]
    runs = load_grids([grid])
    assert len(runs) == 30
    assert len({run.experiment.name for run in runs}) == 10


@pytest.mark.parametrize(
    "path",  # those of studies are called in their folder, which test_studies.py knows
    sorted({*(ROOT / "configs").rglob("*.toml")} - {*(ROOT / "configs/studies").iterdir()}),
    ids=lambda path: path.name,
)
def test_every_grid_states_its_question_its_command_and_its_count(path: Path) -> None:
    question, command, count = path.read_text().splitlines()[:3]
    assert question.startswith("# ")
    assert question.endswith("?")
    assert command.endswith(f"fmgrid run {path.relative_to(ROOT)}")
    assert count.startswith(f"# {len(load_grids([path]))} experiments")
