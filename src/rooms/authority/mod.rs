//! The origin's half of a room: sequence, history, totals.
