"""Queues, and the bursts of a move."""

from bitlathe.rtl_tb.formal.theorems import Block, Mutant, Theorem

FIFO = Block(
    name="fifo",
    top="fifo",
    properties=("fifo",),
    configurations=({"Width": 8, "Depth": 16}, {"Width": 66, "Depth": 16}, {"Width": 5, "Depth": 8}),
    theorems=(
        Theorem(
            label="order",
            says="a word leaves after exactly the words that entered before it, unchanged",
            mutant=Mutant(
                module="fifo",
                old="read_q <= read_q + PointerW'(take);",
                new="read_q <= read_q + PointerW'(take && valid_i);",
            ),
        ),
        Theorem(
            label="levels",
            says="valid_o unless empty, ready_o unless full, at once",
            mutant=Mutant(
                module="fifo",
                old="ready_o <= level_q != (PointerW + 1)'(Depth - 1);",
                new="ready_o <= level_q != (PointerW + 1)'(Depth - 2);",
            ),
        ),
        Theorem(
            label="bounds",
            says="never holds more words than it has places",
            mutant=Mutant(
                module="fifo",
                old="ready_o <= level_q != (PointerW + 1)'(Depth - 1);",
                new="ready_o <= 1'b1;",
            ),
        ),
    ),
    reached=("full", "emptied"),
)

SKID = Block(
    name="skid",
    top="skid",
    properties=("skid",),
    configurations=({"Width": 8}, {"Width": 128}),
    theorems=(
        Theorem(
            label="order",
            says="a word leaves after exactly the words that entered before it, unchanged",
            mutant=Mutant(module="skid", old="ready_o ? data_i : spare_q", new="data_i"),
        ),
        Theorem(
            label="levels",
            says="valid_o unless empty, ready_o unless both registers are taken",
            mutant=Mutant(module="skid", old="moves || (ready_o && !valid_i)", new="moves || !valid_i"),
        ),
        Theorem(
            label="stable",
            says="an offered word stays until it is taken",
            mutant=Mutant(module="skid", old="moves = ready_i || !valid_o", new="moves = ready_i || valid_i"),
        ),
    ),
    reached=("full", "followed"),
)


def _split(label: str, says: str, old: str, new: str) -> Theorem:
    return Theorem(label=label, says=says, mutant=Mutant(module="burst_split", old=old, new=new))


BURST_SPLIT = Block(
    name="burst_split",
    top="burst_split",
    properties=("burst_split",),
    configurations=({"PI": 8}, {"PI": 16}),
    theorems=(
        _split("beats", "1 to 16 beats a burst", "left_q > 32'(room) ? room", "left_q > 32'd31 ? room"),
        _split("page", "no burst crosses 4 KiB", "5'd16 - 5'(address_q[3:0])", "5'd17 - 5'(address_q[3:0])"),
        _split(
            "inside",
            "every burst is within its space",
            "end_q > 34'(limit_q)",
            "end_q > 34'(limit_q) + 34'd1",
        ),
        _split(
            "address",
            "bursts follow one another without a gap, each segment from its own place",
            "offset_q <= offset_q + OffsetW'(stride_q);",
            "offset_q <= offset_q + OffsetW'(stride_q) + OffsetW'(stride_q[0]);",
        ),
        _split(
            "covers",
            "the bursts of a segment hold its words and no more; the last is marked",
            "burst_last_o = final_q && segments_q == 16'd1",
            "burst_last_o = final_q && segments_q <= 16'd2",
        ),
        _split(
            "ends",
            "the next job is taken as soon as the last burst is, not before",
            "!final_q ? Length : burst_last_o ? Idle : Bound",
            "!final_q ? Length : Idle",
        ),
        _split("stable", "an offered burst stays until it is taken", "if (burst_ready_i) begin", "begin"),
        _split(
            "refused",
            "only a segment that leaves its space is refused, before its first burst",
            "34'(offset_q) + 34'(words_q)",
            "34'(offset_q) + 34'(words_q) + 34'd1",
        ),
        _split(
            "prompt",
            "a burst, a refusal or the next job within four cycles",
            "Bound:   state_q <= Check;",
            "Bound:   state_q <= burst_ready_i ? Check : Bound;",
        ),
    ),
    bound=14,
    reached=("long", "page_ends", "second", "refuses"),
)

HANDSHAKES = (FIFO, SKID, BURST_SPLIT)
