"""Contract files: which are read, and what is said of those that cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dagster_contracts.core.errors import ContractError, ContractInvalid, ContractSyntaxError
from dagster_contracts.store.files import MAX_BYTES, load_contracts
from tests.shared_cases import CASES, needs_cases


def text(identity: str, version: str = "1.0.0", rest: str = "") -> str:
    return f"apiVersion: v3.1.0\nkind: DataContract\nid: {identity}\nversion: {version}\nstatus: active\n{rest}"


def test_one_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "feed.txt"
    file.write_text(text("feed"))
    [contract] = load_contracts(str(file))
    assert (contract.id, contract.source) == ("feed", str(file))


def test_a_folder_is_searched_and_other_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "b.odcs.yaml").write_text(text("b"))
    (tmp_path / "deep" / "a.odcs.yml").write_text(text("a"))
    (tmp_path / "deep" / "er" / "plain.yaml").write_text("# a contract\n" + text("plain"))
    (tmp_path / "c.json").write_text('{"apiVersion": "v3.1.0", "kind": "DataContract", "id": "c", "version": "1", "status": "active"}')
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    (tmp_path / "deployment.yaml").write_text("apiVersion: v1\nkind: Deployment\n")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    (tmp_path / "notes.md").write_text(text("notes"))
    (tmp_path / ".hidden" / "h.odcs.yaml").write_text(text("hidden"))
    assert [contract.id for contract in load_contracts(tmp_path)] == ["b", "c", "a", "plain"]


def test_a_contract_with_a_misspelt_kind_is_not_skipped(tmp_path: Path) -> None:
    (tmp_path / "feed.yaml").write_text(text("feed").replace("DataContract", "DataContrakt"))
    with pytest.raises(ContractInvalid, match='did you mean "DataContract"'):
        load_contracts(tmp_path)


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "feed.odcs.yaml"
    file.write_text(text("feed"))
    assert len(load_contracts(file, tmp_path)) == 1


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no contract found in the folder"):
        load_contracts(tmp_path)
    with pytest.raises(ContractError, match=r"no such file or folder: .*nowhere"):
        load_contracts(tmp_path, tmp_path / "nowhere")
    with pytest.raises(ContractError, match="no path"):
        load_contracts()


def test_problems_of_several_files_are_told_together(tmp_path: Path) -> None:
    (tmp_path / "a.odcs.yaml").write_text(text("a", rest="schem: []\n"))
    (tmp_path / "b.odcs.yaml").write_text("a: [\n")
    (tmp_path / "c.odcs.yaml").write_text(text("c"))
    (tmp_path / "d.odcs.yaml").write_text(text("d", rest="nam: x\n"))
    with pytest.raises(ContractInvalid) as caught:
        load_contracts(tmp_path)
    told = [(Path(str(problem.source)).name, problem.line) for problem in caught.value.problems]
    assert told == [("a.odcs.yaml", 6), ("b.odcs.yaml", 2), ("d.odcs.yaml", 6)]


def test_one_id_and_version_with_two_contents_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.odcs.yaml").write_text(text("feed"))
    (tmp_path / "b.odcs.yaml").write_text(text("feed", rest="name: other\n"))
    (tmp_path / "c.odcs.yaml").write_text(text("feed", version="1.1.0"))
    with pytest.raises(ContractInvalid, match=r'contract "feed" version 1\.0\.0 has another content in .*a\.odcs\.yaml') as caught:
        load_contracts(tmp_path)
    assert len(caught.value.problems) == 1


def test_a_copy_of_a_contract_is_read_once_and_noted(tmp_path: Path) -> None:
    (tmp_path / "a.odcs.yaml").write_text(text("feed", rest="schema: [{name: feed}]\n"))
    (tmp_path / "b.odcs.yaml").write_text(text("feed", rest="schema: [{name: feed}]\n"))
    [contract] = load_contracts(tmp_path)
    assert contract.notes == (f"{tmp_path / 'b.odcs.yaml'} is a copy of this contract; it is read once",)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "feed.odcs.yaml"
    file.write_bytes(b"id: a\nname: caf\xe9\n")
    with pytest.raises(ContractSyntaxError, match=r"feed\.odcs\.yaml:2: the file is not UTF-8 text \(byte 0xe9"):
        load_contracts(tmp_path)


def test_a_byte_order_mark_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "feed.odcs.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + text("feed").encode())
    assert load_contracts(file)[0].id == "feed"


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "feed.odcs.yaml"
    with file.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("was read"))
    with pytest.raises(ContractSyntaxError, match="5,000,001 bytes"):
        load_contracts(file)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    file = tmp_path / "feed.odcs.yaml"
    file.write_text(text("feed"))
    file.chmod(0)
    with pytest.raises(ContractSyntaxError, match="cannot be read: Permission denied"):
        load_contracts(tmp_path)


def test_an_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "feed.odcs.yaml"
    file.write_text(text("feed"))

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ContractSyntaxError, match=r"feed\.odcs\.yaml: the file cannot be read: Permission denied"):
        load_contracts(tmp_path)


@needs_cases
def test_the_contracts_of_real_feeds_load() -> None:
    assert len(load_contracts(CASES / "contracts")) == 7
