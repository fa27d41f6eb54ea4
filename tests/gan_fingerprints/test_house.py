"""The order in which the project is built up: which room may import which."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gan_fingerprints
from experiments.gans import GANS
from gan_fingerprints.networks.files import constructors
from tests.conftest import PROJECT

SUBPROJECTS = (*GANS, "classifier", "classifier_visNet")
LIBRARY = "gan_fingerprints"
FLOORS = [  # from the top down; a room imports only rooms of lower floors, and itself
    ["__main__"],
    ["page"],
    ["examiner", "ipm", "measuring", "__init__"],
    ["training"],  # asks a network that it has trained as `attribution` will
    ["attribution"],
    ["pictures", "data"],
    ["networks", "metrics", "images"],
    ["calibration", "card", "degradations", "formats", "likelihoods", "program", "pseudo_unknowns"],
    ["disk", "domain", "flags", "limits", "perturbations", "shown", "truncation"],
    ["cluster", "likelihood", "missing", "quiet", "rooms", "scores", "typed", "version", "workers"],
]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def modules(*folders: str) -> dict[str, Path]:
    paths = [path for folder in folders for path in sorted((PROJECT / folder).rglob("*.py"))]
    return {module_of(path): path for path in paths}


def imported(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """The modules that a file imports, anywhere in it; of `known` ones by their whole names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # Dots lead up from the file's own folder.
            above = [*module_of(path).split(".")[: -node.level], ""] if node.level else [""]
            module = ".".join(above) + node.module
            for name in node.names:
                whole = f"{module}.{name.name}"
                yield whole if whole in known else module


def room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def test_the_floors_name_every_room_of_the_library():
    rooms = {room_of(module) for module in modules(LIBRARY)}
    assert sorted(rooms) == sorted(room for floor in FLOORS for room in floor)


def test_no_arrow_of_the_library_goes_up_or_sideways():
    known = modules(LIBRARY)
    floor = {room: i for i, rooms in enumerate(FLOORS) for room in rooms}
    arrows = {
        (module, target)
        for module, path in known.items()
        for target in imported(path, known)
        if target in known and room_of(target) != room_of(module)
    }
    assert len(arrows) > 50  # it sees them
    wrong = [arrow for arrow in arrows if floor[room_of(arrow[0])] >= floor[room_of(arrow[1])]]
    assert not wrong


def test_no_module_imports_itself_by_way_of_others():
    known = modules(LIBRARY, *SUBPROJECTS, "experiments", "benchmarks")
    needs = {module: set(imported(path, known)) & set(known) for module, path in known.items()}
    while free := [module for module, others in needs.items() if not others & set(needs)]:
        for module in free:
            del needs[module]
    assert not needs, "circles among these, or above such"


def test_subprojects_import_only_the_library_and_themselves():
    rooms = {*SUBPROJECTS, "experiments", "benchmarks", "tests"}
    allowed = {LIBRARY: set(), "experiments": {"experiments"}}
    allowed |= {name: {name} for name in SUBPROJECTS}
    for folder, own in allowed.items():
        known = modules(folder)
        assert known
        foreign = {
            module: found
            for module, path in known.items()
            if (found := {x.partition(".")[0] for x in imported(path, known)} & rooms - own)
        }
        assert not foreign
    path = PROJECT / "classifier" / "run.py"
    assert "classifier.config" in set(imported(path, modules("classifier")))  # it would notice


def reached(module: str, known: dict[str, Path]) -> set[str]:
    found, waiting = set(), [module]
    while waiting:
        one = waiting.pop()
        if one in known and one not in found:
            found.add(one)
            waiting += imported(known[one], known)
    return found


def test_data_preparation_reaches_no_network():
    found = reached("classifier.data_preparation", modules(LIBRARY, "classifier"))
    assert "gan_fingerprints.data.audit.report" in found
    assert len(found) <= 42
    assert not {module for module in found if room_of(module) in ("networks", "training")}


def test_every_name_that_is_imported_from_the_project_exists():
    """The type checker does not notice a module that is missing."""
    known = modules(LIBRARY, *SUBPROJECTS, "experiments", "benchmarks")
    ours = (LIBRARY, *SUBPROJECTS, "experiments", "benchmarks")
    found = {x for path in known.values() for x in imported(path, known)}
    missing = {x for x in found if x.partition(".")[0] in ours and x not in known}
    assert {x for x in missing if not (PROJECT / x.replace(".", "/")).is_dir()} == set()


def test_every_kind_is_built_by_its_name():
    for kind, construct in constructors().items():
        sizes = {"residual": {"width": 4}, "cooccurrence": {"components": 3}}
        own = sizes.get(kind, {"fmap_base": 64, "fmap_max": 16})
        network = construct(resolution=32, num_sources=2, **own)
        assert network.name == kind
        assert network.arguments["num_sources"] == 2
    assert list(constructors("classifier")) == ["classifier"]


@pytest.mark.slow
def test_networks_are_built_without_names_of_ours_on_the_path_of_imports(tmp_path):
    """As an installed package builds them in a program of somebody else."""
    (tmp_path / "gan_fingerprints").symlink_to(PROJECT / "gan_fingerprints")
    (tmp_path / "classifier.py").write_text("OF = 'somebody else'\n")
    program = (
        "import sys, classifier; from gan_fingerprints import rooms;"
        "from gan_fingerprints.networks.files import KINDS;"
        "found = [rooms.module(value.partition(':')[0]) for value in KINDS.values()];"
        "ours = {name.partition('.')[0] for name in sys.modules} & set(sys.argv[1:]);"
        "print(classifier.OF, ours, *[module.__name__ for module in found], sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *SUBPROJECTS], cwd=tmp_path, capture_output=True, text=True
    )
    theirs, ours, *modules = done.stdout.splitlines()
    assert (theirs, ours) == ("somebody else", "{'classifier'}")
    assert all(module.startswith("gan_fingerprints.") for module in modules)
    assert "gan_fingerprints.rooms.classifier.residual" in modules


def test_the_package_is_imported_at_once_and_what_it_offers_when_asked_for():
    program = (
        "import sys, gan_fingerprints; assert 'numpy' not in sys.modules;"
        "from gan_fingerprints import Attributor, Attribution; import gan_fingerprints.__main__;"
        "assert 'numpy' in sys.modules and 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=True)
    with pytest.raises(AttributeError, match="no attribute 'Attribuor'"):
        gan_fingerprints.Attribuor  # noqa: B018
