//! The desk: health, metrics and the admin API of a node.
