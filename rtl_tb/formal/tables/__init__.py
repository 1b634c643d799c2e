"""All theorems, block by block."""

from bitlathe.rtl_tb.formal.tables.arithmetic import ARITHMETIC
from bitlathe.rtl_tb.formal.tables.buses import BUSES
from bitlathe.rtl_tb.formal.tables.handshakes import HANDSHAKES

BLOCKS = (*HANDSHAKES, *BUSES, *ARITHMETIC)
