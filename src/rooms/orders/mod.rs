//! Orders: from the buyer's wish to the merchant's answer.
