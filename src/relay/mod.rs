//! The relay: carries tracks between nodes over QUIC (`rushlane/1`) and knows no media.
