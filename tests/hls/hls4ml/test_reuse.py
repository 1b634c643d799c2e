"""Reuse factors that are legal for a layer."""

from __future__ import annotations

from math import prod

import needs
import pytest

needs.package("hls4ml")

from bitlathe.hls.hls4ml.project import library
from bitlathe.hls.hls4ml.project.plan import Multipliers
from bitlathe.hls.hls4ml.project.reuse import legal_reuse_factors


@pytest.mark.parametrize(("rows", "columns"), [(27, 16), (64, 10), (1, 7)])
def test_legal_reuse_factors_are_hls4mls_own(rows: int, columns: int) -> None:
    backends = library.load("hls4ml.backends")
    resource = Multipliers(
        rows=rows, columns=columns, is_resource=True, dsps_a_product=1, pixels_in=1, pixels_out=1
    )
    own = backends.get_backend("Vitis").get_valid_reuse_factors(rows, columns)
    assert list(legal_reuse_factors(resource)) == own
    assert prod((rows, columns)) in own
