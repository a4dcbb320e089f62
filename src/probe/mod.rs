//! The LL-HLS conformance check behind `rushlane probe URL` (R1.10).
