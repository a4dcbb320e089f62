//! Delivery: answers viewers from `live` over the front that `net` gives it.
