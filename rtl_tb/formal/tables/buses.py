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
            "read_q <= 1'b0;",
            "read_q <= read_q;",
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


def _probes(**queues: str) -> dict[str, str]:
    """What a block's invariants say of its queues: the queue's follower and its level."""
    signals = {
        "choose": "f_choose",
        "held": "f_held_q",
        "level": "f_level_q",
        "ahead": "f_ahead_q",
        "word": "f_word_q",
    }
    return {
        f"f_{name}_{short}": f"{instance}.{signal}"
        for name, instance in queues.items()
        for short, signal in signals.items()
    }


AXI_WRITE = Block(
    name="axi_write",
    top="axi_write",
    properties=("axi_write", "fifo"),
    configurations=({"PI": 8}, {"PI": 16}),
    probes=_probes(jobs="u_jobs", owners="u_owners"),
    theorems=theorems_of(
        "axi_write",
        (
            "aw_stable",
            "an address stays until it is taken",
            "open = (!m_axi_awvalid || m_axi_awready)",
            "open = (!m_axi_awvalid || m_axi_wready)",
        ),
        (
            "w_stable",
            "a word of data stays until it is taken",
            "load_w = job_valid && (!m_axi_wvalid || m_axi_wready)",
            "load_w = job_valid && (!m_axi_wvalid || m_axi_awready)",
        ),
        (
            "aw_payload",
            "each request's address and length are offered in the next cycle",
            "profile_valid_i ? 8'd0 : 8'(store_beats_i)",
            "profile_valid_i ? 8'd1 : 8'(store_beats_i)",
        ),
        (
            "aw_short",
            "1 to 16 beats a burst",
            "8'(store_beats_i) - 8'd1;",
            "8'(store_beats_i);",
        ),
        (
            "w_last",
            "WLAST on a burst's last beat and on no other",
            "last = beat_q == job_last",
            "last = beat_q >= job_last - 4'd1",
        ),
        ("w_strobes", "whole words", "m_axi_wstrb = '1", "m_axi_wstrb = {PI{!stop_i}}"),
        (
            "w_data",
            "each word that is taken from a store or the profile is offered next, unchanged",
            "job_store ? store_data_i : profile_data_i;",
            "store_data_i;",
        ),
        (
            "w_owed",
            "no data without a burst that they belong to",
            "m_axi_wvalid <= job_valid;",
            "m_axi_wvalid <= job_valid || m_axi_wlast;",
        ),
        (
            "w_independent",
            "data are offered within three cycles, whether or not any address is taken",
            ".valid_i(offered_q), .ready_o(unused_job_ready),",
            ".valid_i(m_axi_awvalid && m_axi_awready), .ready_o(unused_job_ready),",
        ),
        (
            "aw_independent",
            "an address is offered whether or not any data are taken",
            "flying_q != CountW'(Outstanding) && !stop_i",
            "flying_q != CountW'(Outstanding) && !stop_i && !m_axi_wvalid",
        ),
        (
            "flying",
            "no more bursts in flight than the queues hold",
            "flying_q != CountW'(Outstanding) && !stop_i",
            "!stop_i",
        ),
        (
            "answers",
            "each response is counted once, for the unit that asked for the burst",
            "error_store_o = owner_store",
            "error_store_o = job_store",
        ),
        (
            "strays",
            "an answer to nothing counts for nothing",
            "error_o = answered && m_axi_bresp[1]",
            "error_o = m_axi_bvalid && m_axi_bresp[1]",
        ),
        ("b_taken", "answers are always taken", "m_axi_bready = 1'b1", "m_axi_bready = awaited"),
        (
            "done",
            "nothing is outstanding once busy_o falls",
            "busy_o = flying_q != '0",
            "busy_o = flying_q > CountW'(1)",
        ),
        ("stops", "no burst begins after stop_i", "CountW'(Outstanding) && !stop_i", "CountW'(Outstanding)"),
        (
            "w_quiet",
            "after a reset, at any time, nothing is offered and nothing in flight",
            "m_axi_wvalid <= 1'b0;",
            "m_axi_wvalid <= m_axi_wvalid;",
        ),
    ),
    reached=("many", "data_first", "stopped_amid"),
    bound=14,
)

AXI_READ = Block(
    name="axi_read",
    top="axi_read",
    properties=("axi_read", "fifo"),
    configurations=({"PI": 8}, {"PI": 16}),
    probes=_probes(owners="u_owners", beats="u_beats"),
    theorems=theorems_of(
        "axi_read",
        (
            "ar_stable",
            "an address stays until it is taken",
            "open = (!m_axi_arvalid || m_axi_arready)",
            "open = (!m_axi_arvalid || m_axi_rvalid)",
        ),
        (
            "ar_payload",
            "each request's address and length are offered in the next cycle",
            "fetch_valid_i ? fetch_address_i : load_address_i",
            "load_valid_i ? load_address_i : fetch_address_i",
        ),
        ("ar_short", "1 to 16 beats a burst", "load_beats_i) - 8'd1;", "load_beats_i);"),
        (
            "ar_flying",
            "no more bursts in flight than the queue of owners holds",
            "flying_q != CountW'(Outstanding) && !stop_i",
            "!stop_i",
        ),
        (
            "ar_prompt",
            "an address is offered whatever the data do; the fetch goes first",
            "load_ready_o = open && !fetch_valid_i",
            "load_ready_o = open && !fetch_valid_i && !head_valid",
        ),
        (
            "r_owner",
            "each beat goes to the unit that asked for its burst, in order, unchanged, once",
            ".data_i(!fetch_valid_i),",
            ".data_i(load_valid_i),",
        ),
        (
            "r_counted",
            "each beat of a burst is kept until it is taken; one that no burst awaits is dropped",
            ".valid_i(m_axi_rvalid && awaited), .ready_o(m_axi_rready),",
            ".valid_i(m_axi_rvalid), .ready_o(m_axi_rready),",
        ),
        (
            "r_none",
            "nothing is shown that did not come",
            "load_rvalid_o = head_valid && head_load",
            "load_rvalid_o = head_load",
        ),
        (
            "r_drains",
            "once stopped, beats are taken at once, so all bursts in flight end",
            "!head_load || load_rready_i || stop_i",
            "!head_load || load_rready_i",
        ),
        (
            "r_done",
            "nothing is outstanding or queued once busy_o falls",
            "|| flying_q != '0 || head_valid;",
            "|| flying_q != '0;",
        ),
        (
            "ar_stops",
            "no burst begins after stop_i",
            "CountW'(Outstanding) && !stop_i",
            "CountW'(Outstanding)",
        ),
        (
            "r_quiet",
            "after a reset, at any time, nothing is offered, shown or in flight",
            "m_axi_arvalid <= 1'b0;",
            "m_axi_arvalid <= m_axi_arvalid;",
        ),
    ),
    reached=("ar_many", "r_full", "stopped_amid", "stray"),
    bound=22,
)

BUSES = (AXIL_REGS, AXI_WRITE, AXI_READ)
