"""What is generated and kept in the repository is what the tables say today."""

import pytest

from bitlathe.hls.program import ErrorCode, Opcode, Space, registers
from bitlathe.hls.program.render import generated_files


@pytest.mark.parametrize("file", generated_files(), ids=lambda file: file.path.name)
def test_a_generated_file_is_current(file):
    remedy = "run: python -m bitlathe.hls.program.render"
    assert file.path.read_text(encoding="utf-8") == file.text, remedy


@pytest.mark.parametrize("codes", [ErrorCode, Opcode, Space])
def test_every_code_is_explained(codes):
    pages = "".join(file.text for file in generated_files() if file.path.suffix == ".md")
    assert [code.name for code in codes if f"`{code.name}`" not in pages] == []


def test_no_two_registers_share_a_place():
    offsets = [register.offset for register in registers.REGISTERS]
    assert sorted(set(offsets)) == offsets
    assert all(offset % 4 == 0 and offset < registers.ADDRESS_SPACE for offset in offsets)
