"""Options of a command line: how one is declared, and what becomes of it in `argparse`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from gan_fingerprints.typed import Kind, given, switch, toggle

REQUIRED = dataclasses.MISSING
Options = Mapping[str, Any] | type
"""What belongs together: name, as typed → `option`; or a dataclass with fields made by it."""
Group = Options | tuple[str, *tuple[Options, ...]]
"""Options, with or without a title."""


def option(
    kind: Kind, default: Any, help: str, advanced: bool | None = None, alias: str | None = None
) -> Any:
    """Declares an option, in a dict of flags or as a field of a dataclass that is also a flag.

    Args:
        kind: what it takes; help: what it is for.
        default: REQUIRED where there is none; None where the help text says what then holds.
        advanced: whether only --help_all shows it; by default, if it is a field of a dataclass.
        alias: another name, shown first; by default that of ALIASES.
    """
    metadata = {"kind": kind, "help": help, "advanced": advanced, "alias": alias}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


ALIASES = {
    "--training_seed": "--seed",
    "--gen_seed": "--seed",
    "--random_seed": "--seed",
    "--model_path": "--model",
    "--num_pngs": "--num_images",
    "--no_of_samples": "--num_images",
    "--out_dir": "--out",
    "--out_model_dir": "--out",
    "--out_image_dir": "--out",
    "--results_dir": "--out",
    "--output_dir_of_test_samples": "--out",
}
"""A flag of 2019 → what it is also called, in every program that has no other option of that name.

Two options of one program that share it are of different work (--app train and gen): it sets both.
"""


class _Store(argparse.Action):
    """Stores a word, also for those options that share this one's alias."""

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self.sharing: list[str] = []

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, values)
        if option == self.option_strings[0]:
            for other in self.sharing:
                setattr(namespace, other, values)


class HelpAll(argparse.Action):
    def __call__(self, parser: Any, *_: Any) -> None:
        print(parser.format_all(), end="")
        parser.exit()


def fields_of(options: Options) -> Mapping[str, Any]:
    """Options by name, as typed."""
    if isinstance(options, Mapping):
        return options
    fields = dataclasses.fields(options)
    return {f"--{field.name}": field for field in fields if "kind" in field.metadata}


def add(
    parser: argparse._ActionsContainer, name: str, field: Any, unless_given: Any, taken: set[str]
) -> argparse.Action:
    kind: Kind = field.metadata["kind"]
    default = field.default if field.default_factory is REQUIRED else field.default_factory()
    how = {**kind.how, "default": None if default is REQUIRED else unless_given}
    if kind is not given:
        how |= {"type": kind, "metavar": kind.unit}
    if default is REQUIRED and name.startswith("--"):
        how["required"] = True
    by_default, about, no = _shown(kind, default), field.metadata["help"], f"--no{name[2:]}"
    about += f"; {no} for False" if kind is toggle else ""
    names, alias = [name], field.metadata["alias"] or ALIASES.get(name)
    if alias and alias not in taken:
        if shared := parser._option_string_actions.get(alias):
            assert isinstance(shared, _Store)
            shared.sharing.append(name[2:])
            about += f"; or {alias}"
        else:
            names, how = [alias, name], {**how, "action": _Store, "dest": name[2:]}
    about += f" (default: {by_default})" if by_default else ""
    action = parser.add_argument(*names, help=about.replace("%", "%%"), **how)
    if kind is toggle:
        parser.add_argument(no, dest=name[2:], action="store_false", help=argparse.SUPPRESS)
    return action


def _shown(kind: Kind, default: Any) -> str:
    """A default as the user would type it; empty where there is nothing to say."""
    if default in (REQUIRED, None, []) or kind is given:
        return ""
    if isinstance(default, dict):
        return ",".join(f"{side}:{step}" for side, step in default.items())
    if isinstance(default, list):
        return " ".join(map(str, default))
    return str(int(default) if kind is switch else default)
