//! The cache of what the live window no longer holds: older segments, fetched once per key.
