//! What may be said in a room, and by whom.
