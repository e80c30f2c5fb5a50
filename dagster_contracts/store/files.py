"""Contract files: which files of a folder are contracts, and reading them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dagster_contracts.core.contract import Contract
from dagster_contracts.core.errors import ContractError, ContractInvalid, ContractSyntaxError, Problem
from dagster_contracts.core.odcs import parse, remarks
from dagster_contracts.core.registry import Submission
from dagster_contracts.core.waiving import waiver_problems
from dagster_contracts.store.references import with_profiles

MAX_BYTES = 5_000_000
_SUFFIXES = (".yaml", ".yml", ".json")
_NAMED = tuple(f".odcs{suffix}" for suffix in _SUFFIXES)
_SNIFFED = 65_536  # bytes read to tell whether a file without .odcs in its name is a contract
_SAYS_CONTRACT = re.compile(
    rb"""^["']?kind["']?[ \t]*:[ \t]*["']?DataContract\b
      | ^["']?apiVersion["']?[ \t]*:[ \t]*["']?v?[23]\.\d+\.\d
      | "kind"\s*:\s*"DataContract" """,
    re.MULTILINE | re.VERBOSE,
)


def load_contracts(*paths: str | Path, profiles: bool = True) -> list[Contract]:
    """Every contract of the given files and folders, in the order of their paths; the same file named twice is read once.

    In a folder (searched through all levels, hidden ones left out) a contract is a file named *.odcs.yaml, .yml or .json, or another
    YAML or JSON file that says `kind: DataContract` or an ODCS `apiVersion`; what else lies there is skipped. A file that is named
    directly is never skipped. Raises ContractError for a missing path and for a folder without a contract, and ContractInvalid
    with the problems of all files; a single file that is not readable YAML raises ContractSyntaxError.

    Profile files that rules name are read with the contract (see references.py), unless `profiles` is False: such rules cannot be
    executed then.
    """
    found = _read(paths, profiles)
    if len(found.syntax) == 1 and len(found.problems) == 1:
        raise found.syntax[0]
    if found.problems:
        raise ContractInvalid(found.problems)
    return found.contracts


def load_submissions(*paths: str | Path) -> list[Submission]:
    """The contracts of files and folders with their texts, to be registered. Raises as `load_contracts`, and where one stands twice."""
    found = _read(paths, True)
    if problems := [*found.problems, *found.copies]:
        raise ContractInvalid(problems)
    return found.submissions()


def survey_contracts(*paths: str | Path) -> tuple[list[Submission], list[Problem]]:
    """As `load_submissions`, but what is wrong is returned beside the contracts that are right, not raised, and notes are complete.

    Raises ContractError for a missing path and for a folder without a contract only.
    """
    found = _read(paths, True)
    found.contracts = [replace(each, notes=(*each.notes, *remarks(found.texts[str(each.source)]))) for each in found.contracts]
    return found.submissions(), found.problems


def _read(paths: Iterable[str | Path], profiles: bool) -> _Found:
    found = _Found(profiles)
    for file in dict.fromkeys(_files(paths)):
        found.read(file)
    return found


@dataclass(slots=True)
class _Found:
    profiles: bool
    contracts: list[Contract] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    syntax: list[ContractSyntaxError] = field(default_factory=list)
    copies: list[Problem] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)  # by source

    def read(self, file: Path) -> None:
        try:
            text = self.texts[str(file)] = _text(file)
            contract = parse(text, source=str(file))
            contract, problems = with_profiles(contract) if self.profiles else (contract, [])
            problems += waiver_problems(contract)
            self.problems += problems
            if not problems:
                self._add(contract)
        except ContractSyntaxError as broken:
            self.syntax.append(broken)
            self.problems.append(Problem("", broken.message, line=broken.line, source=broken.source))
        except ContractInvalid as invalid:
            self.problems += invalid.problems

    def submissions(self) -> list[Submission]:
        found = ((each, next((obj.profiles for obj in each.objects), {})) for each in self.contracts)
        return [Submission(each, self.texts[str(each.source)], profiles) for each, profiles in found]

    def _add(self, contract: Contract) -> None:
        for index, other in enumerate(self.contracts):
            if (other.id, other.version) != (contract.id, contract.version):
                continue
            if other.content_hash == contract.content_hash:
                note = f"{contract.source} is a copy of this contract; it is read once"
                self.contracts[index] = replace(other, notes=(*other.notes, note))
                self.copies.append(_copy(other, contract))
            else:
                self.problems.append(_two_contents(other, contract))
            return
        self.contracts.append(contract)


def _two_contents(one: Contract, other: Contract) -> Problem:
    message = (
        f'contract "{other.id}" version {other.version} has another content in {one.source}; '
        "a version is never changed: raise the version of one of them, or remove a file"
    )
    return Problem("version", message, source=other.source)


def _copy(one: Contract, other: Contract) -> Problem:
    message = f'contract "{other.id}" {other.version} stands in {one.source} too; a version is registered once: remove one of the files'
    return Problem("version", message, source=other.source)


def _files(paths: Iterable[str | Path]) -> Iterator[Path]:
    """The contract files of `paths`, each path's in order of name."""
    given = [Path(path) for path in paths]
    if not given:
        raise ContractError("no path to a contract was given; name a contract file or a folder of contracts")
    missing = [str(path) for path in given if not path.exists()]
    if missing:
        raise ContractError(f"no such file or folder: {', '.join(missing)}; check the path (relative paths start at {Path.cwd()})")
    for path in given:
        if path.is_file():
            yield path.resolve() if path.is_symlink() else path
            continue
        inside = [file for file in sorted(path.rglob("*")) if _is_contract(file, path)]
        if not inside:
            raise ContractError(
                f"no contract found in the folder {path}: expected files named *.odcs.yaml, *.odcs.yml or *.odcs.json, "
                "or other YAML or JSON files that say kind: DataContract"
            )
        yield from inside


def _is_contract(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    if hidden or not file.name.lower().endswith(_SUFFIXES) or not file.is_file():
        return False
    return file.name.lower().endswith(_NAMED) or _says_contract(file)


def _says_contract(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return _SAYS_CONTRACT.search(stream.read(_SNIFFED)) is not None
    except OSError:
        return True  # reading it in full then says why it cannot be read


def _text(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise ContractSyntaxError(f"the file has {size:,} bytes; contracts over {MAX_BYTES:,} bytes are not read", source=str(file))
        return file.read_bytes().decode("utf-8-sig")
    except OSError as unreadable:
        raise ContractSyntaxError(f"the file cannot be read: {unreadable.strerror or unreadable}", source=str(file)) from unreadable
    except UnicodeDecodeError as broken:
        message = f"the file is not UTF-8 text (byte {broken.object[broken.start]:#04x} at position {broken.start}); save it as UTF-8"
        line = broken.object.count(b"\n", 0, broken.start) + 1
        raise ContractSyntaxError(message, source=str(file), line=line) from broken
