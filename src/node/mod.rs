//! The roof: wires a role (origin, edge, dev) from its configuration.
