"""All theorems, block by block."""

from bitlathe.rtl_tb.formal.tables.arithmetic import ARITHMETIC
from bitlathe.rtl_tb.formal.tables.buses import BUSES
from bitlathe.rtl_tb.formal.tables.control import CONTROL
from bitlathe.rtl_tb.formal.tables.handshakes import HANDSHAKES
from bitlathe.rtl_tb.formal.tables.products import PRODUCTS
from bitlathe.rtl_tb.formal.tables.walkers import WALKERS

BLOCKS = (*PRODUCTS, *HANDSHAKES, *BUSES, *ARITHMETIC, *WALKERS, *CONTROL)
