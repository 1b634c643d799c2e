"""What is generated and kept in the repository is what the tables say today."""

import pytest

from bitlathe.hls import datapath_package, documents, register_package, registers, rtl_package
from bitlathe.hls.program import ErrorCode, Opcode, Space

PACKAGES = [datapath_package, register_package, rtl_package]


@pytest.mark.parametrize("document", documents.documents(), ids=lambda document: document.path.name)
def test_a_generated_page_is_current(document):
    remedy = "run: python -m bitlathe.hls.documents"
    assert document.path.read_text(encoding="utf-8") == document.text, remedy


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__.rpartition(".")[2])
def test_a_generated_package_is_current(package):
    remedy = f"run: python -m {package.__name__}"
    assert package.PACKAGE.read_text(encoding="utf-8") == package.package_text(), remedy


@pytest.mark.parametrize("codes", [ErrorCode, Opcode, Space])
def test_every_code_is_explained(codes):
    pages = "".join(document.text for document in documents.documents())
    assert [code.name for code in codes if f"`{code.name}`" not in pages] == []


def test_no_two_registers_share_a_place():
    offsets = [register.offset for register in registers.REGISTERS]
    assert sorted(set(offsets)) == offsets
    assert all(offset % 4 == 0 and offset < registers.ADDRESS_SPACE for offset in offsets)
