"""The array: products, sums and accumulators, lemma by lemma."""

from collections.abc import Iterator

from bitlathe.hls.datapath import datapath
from bitlathe.rtl_tb.formal.theorems import Block, Engine, theorems_of

UPPER = tuple(value % 32 for value in range(15, -9, -1))  # upper bits of a code, or a narrow code: -8 to 15


def _products(narrow: int, fault: str) -> Block:
    return Block(
        name="mac_pair",
        top="placed_product",
        properties=(),
        configurations=tuple({"IsNarrow": narrow, "Upper": upper} for upper in UPPER),
        engine=Engine.Z3,
        probes={"product_q": "\\u_pair.gen_chain[0].prod0_q"},
        theorems=theorems_of(
            "mac_pair",
            (
                "product",
                "a product of placed operands is the sum of the products, each at its place",
                "prod0_q <= ProductBits'(act0 * weight0);",
                f"prod0_q <= ProductBits'({fault});",
            ),
        ),
        reached=("products",),
        induction=1,
        bound=3,
    )


def _chain_probes(pi: int) -> Iterator[tuple[str, str]]:
    width = datapath(pi)
    for chain in range(pi // 2):
        for wire, bits, signal in (
            ("f_prods0", width.product_bits, "prod0_q"),
            ("f_prods1", width.product_bits, "prod1_q"),
            ("f_chains", width.chain_bits, "chain_q"),
        ):
            yield f"{wire}[{bits * (chain + 1) - 1}:{bits * chain}]", f"\\gen_chain[{chain}].{signal}"


def _sums(pi: int) -> Block:
    width = datapath(pi)
    sizes = {"PI": pi, "FieldBits": width.field_bits, "SumBits": width.sum_bits, "F_SUMS": 1}
    return Block(
        name="mac_pair",
        top="mac_pair",
        properties=("mac_pair",),
        configurations=tuple({**sizes, "F_NARROW": narrow} for narrow in (1, 0)),
        probes=dict(_chain_probes(pi)),
        theorems=theorems_of(
            "mac_pair",
            (
                "chains",
                "products at their places add up at their places",
                "ChainBits'(prod0_q) + ChainBits'(prod1_q)",
                "ChainBits'(prod0_q) - ChainBits'(prod1_q)",
            ),
            (
                "terms",
                "sums come apart exactly, whatever their signs; narrow ones stay exact pairs of fields",
                "packed_i ? chain_q[2*Narrow-1] :",
                "packed_i ? chain_q[Narrow-1] :",
            ),
            (
                "sums",
                "the terms of all chains are added",
                "sum1_d = sum1_d + $signed(term1[SumBits*k+:SumBits]);",
                "sum1_d = sum1_d + $signed(term0[SumBits*k+:SumBits]);",
            ),
        ),
        reached=("negative",),
        induction=1,
        bound=6,
    )


CANDIDATES = Block(
    name="mac_pair",
    top="mac_pair",
    properties=("mac_pair",),
    theorems=theorems_of(
        "mac_pair",
        (
            "candidates",
            "a maximum's two candidates come through unchanged",
            "candidate_q2 <= candidate_q;",
            "candidate_q2 <= candidate_i;",
        ),
    ),
    reached=("least",),
    induction=5,
    bound=7,
)

MAC_ARRAY = Block(
    name="mac_array",
    top="mac_array",
    properties=("mac_array",),
    configurations=({"PI": 16, "PO": 2, "PP": 3}, {"PI": 8, "PO": 2, "PP": 2}),
    cut=("mac_pair",),
    probes={
        "f_act0": "\\gen_row[0].act",
        "f_act1": "\\gen_row[1].act",
        "f_first_entry": "\\gen_pixel[0].gen_lane[0].sum_q",
        "f_second_entry": "\\gen_pixel[1].gen_lane[0].sum_q",
    },
    theorems=theorems_of(
        "mac_array",
        (
            "weights_placed",
            "each weight operand holds its two weights, exactly",
            "(WeightBits'($signed(byte1)) <<< Wide)",
            "(WeightBits'($signed(byte1)) <<< Narrow)",
        ),
        (
            "codes_placed",
            "each activation operand holds its code or its two narrow codes, of the descriptor's sign",
            "even_code = {in_signed_i & even[3], even};",
            "even_code = {even[3], even};",
        ),
        (
            "fields_exact",
            "the fields of the low and of the high channels join and come apart exactly",
            "datapath_pkg::PI8_FIELD_BITS : datapath_pkg::PI16_FIELD_BITS",
            "datapath_pkg::PI8_FIELD_BITS : datapath_pkg::PI8_FIELD_BITS",
        ),
        (
            "entries",
            "what a cycle adds to an accumulator is the exact sum",
            "else sum_q <= row_sums[SumBits*(p*2*Pairs+o)+:EntryBits];",
            "else sum_q <= EntryBits'(row_sums[SumBits*(p*2*Pairs+o)+:EntryBits-1]);",
        ),
        (
            "accumulates",
            "an accumulator is the sum, or the maximum, of its group's cycles",
            "beaten = is_max_i && !start &&",
            "beaten = is_max_i &&",
        ),
        (
            "done",
            "done_o seven cycles after a group's last operands",
            "last_i & valid_i",
            "last_i",
        ),
    ),
    reached=("maxima", "groups"),
    bound=14,
)

PRODUCTS = (
    _products(1, "$signed(act0[ActBits-2:0]) * weight0"),
    _products(0, "act0 * $signed(weight0[WeightBits-2:0])"),
    _sums(8),
    _sums(16),
    CANDIDATES,
    MAC_ARRAY,
)
