"""Both sides of AXI4-Lite and AXI4."""

from bitlathe.rtl_tb.formal.theorems import Block, theorems_of

AXIL_REGS = Block(
    name="axil_regs",
    top="axil_regs",
    properties=("axil_regs",),
    theorems=theorems_of(
        "axil_regs",
        (
            "b_stable",
            "a write's answer stays until it is taken",
            "write_q || (s_axi_control_bvalid && !s_axi_control_bready)",
            "write_q",
        ),
        (
            "r_stable",
            "a read's answer and its data stay until they are taken",
            "if (read_q) s_axi_control_rdata <= read_data;",
            "s_axi_control_rdata <= read_data;",
        ),
        (
            "write_together",
            "address and data are taken together, and only where both are offered",
            "s_axi_control_awvalid && s_axi_control_wvalid && !write_q",
            "s_axi_control_awvalid && !write_q",
        ),
        (
            "write_answered",
            "one answer a write, before the next is taken",
            "!write_q && !s_axi_control_bvalid;",
            "!write_q;",
        ),
        (
            "read_answered",
            "one answer a read, before the next is taken",
            "!read_q && !s_axi_control_rvalid;",
            "!read_q;",
        ),
        ("okay", "every answer is OKAY", "bresp = 2'b00", "bresp = {idle_i, 1'b0}"),
        (
            "write_prompt",
            "a write is taken in the cycle after it is whole",
            "s_axi_control_wvalid && !write_q",
            "s_axi_control_wvalid && idle_i && !write_q",
        ),
        (
            "read_prompt",
            "a read is taken in the cycle after it comes",
            "s_axi_control_arvalid && !read_q",
            "s_axi_control_arvalid && idle_i && !read_q",
        ),
        (
            "quiet",
            "after a reset, at any time, nothing is answered, started or signalled",
            "      read_q <= 1'b0;\n",
            "",
        ),
        (
            "written",
            "each argument is what was written to it, byte by byte",
            "s_axi_control_wstrb[b] ? s_axi_control_wdata",
            "s_axi_control_wstrb[0] ? s_axi_control_wdata",
        ),
        (
            "read_back",
            "an argument is read as it was written",
            "REG_OUTPUT_HI:     read_data = 32'(space_base_o[119:112]);",
            "REG_OUTPUT_HI:     read_data = 32'(space_base_o[119:111]);",
        ),
        ("unknown", "an offset past the last register reads 0", "read_data = '0;", "read_data = counter_q;"),
        (
            "starts",
            "start and abort are a cycle each, by a write that says so and nothing else",
            "start_q <= control_write && write_offset",
            "start_q <= write_q && write_offset",
        ),
        (
            "done_kept",
            "done stays until it is read",
            "done_i || (done_q && !control_read)",
            "(done_i || done_q) && !control_read",
        ),
    ),
    reached=("waits", "reset_amid", "changed"),
    induction=3,
    bound=10,
)

BUSES = (AXIL_REGS,)
