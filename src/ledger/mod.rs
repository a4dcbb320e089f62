//! The durable book of a node or a fleet: orders, the state of rooms, the audit trail.
