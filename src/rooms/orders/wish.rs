//! A buyer's wish: whether it can be an order, and its digest.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;

use crate::protocol::interact::command::{
    self, ORDER_BYTES_MAX, ORDER_KEY_BYTES_MAX, ORDER_KEY_BYTES_MIN, QUANTITY_MAX, SKU_BYTES_MAX,
    is_order_key, is_sku,
};

/// What is wrong with a wish, which came from a node below and was read there already; a sentence
/// for the buyer's client.
pub(super) fn fault(wish: &command::Order) -> Option<String> {
    if !is_order_key(&wish.key) {
        return Some(format!(
            "the key: use {ORDER_KEY_BYTES_MIN} to {ORDER_KEY_BYTES_MAX} of a-z A-Z 0-9 _ -"
        ));
    }
    if !is_sku(&wish.sku) {
        let bytes = wish.sku.len();
        return Some(format!(
            "the sku has {bytes} bytes: use 1 to {SKU_BYTES_MAX} that can be seen"
        ));
    }
    if !(1..=QUANTITY_MAX).contains(&wish.quantity) {
        let quantity = wish.quantity;
        return Some(format!(
            "the quantity is {quantity}: use 1 to {QUANTITY_MAX}"
        ));
    }
    let bytes = serde_json::to_vec(wish).map_or(usize::MAX, |json| json.len());
    (bytes > ORDER_BYTES_MAX)
        .then(|| format!("the order has {bytes} bytes: use at most {ORDER_BYTES_MAX}"))
}

/// SHA-256, in hex, over who wants what. The key is left out: two wishes are compared only when
/// they share it.
pub(super) fn digest_of(buyer: &str, wish: &command::Order) -> String {
    // Objects are kept sorted by name, so the order in which a client writes them does not count.
    let canonical = json!([buyer, wish.sku, wish.quantity, wish.attributes]);
    hex(digest(&SHA256, canonical.to_string().as_bytes()).as_ref())
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(json: &str) -> command::Order {
        serde_json::from_str(json).expect("an order")
    }

    #[test]
    fn wishes_are_bounded() {
        let good = wish(r#"{"key":"key-0001","sku":"s","quantity":1}"#);
        assert_eq!(fault(&good), None);
        let check = |change: fn(&mut command::Order), said: &str| {
            let mut wish = good.clone();
            change(&mut wish);
            let fault = fault(&wish).expect("a fault");
            assert!(fault.contains(said), "{fault}");
        };
        check(|wish| wish.key = "short".into(), "the key");
        check(|wish| wish.key = "key 0001".into(), "the key");
        check(|wish| wish.sku = String::new(), "0 bytes");
        check(|wish| wish.sku = "s".repeat(129), "129 bytes");
        check(|wish| wish.sku = " s".into(), "can be seen");
        check(|wish| wish.quantity = 0, "the quantity");
        check(|wish| wish.quantity = 1_000_001, "use 1 to 1000000");
        let long = |wish: &mut command::Order| {
            wish.attributes
                .insert("note".into(), "n".repeat(16 << 10).into());
        };
        check(long, "the order has 16");
    }

    #[test]
    fn digest_tells_wishes_apart_but_not_their_spelling() {
        let one = wish(r#"{"key":"key-0001","sku":"s","quantity":1,"attributes":{"a":1,"b":2}}"#);
        let same = wish(r#"{"attributes":{"b":2,"a":1},"quantity":1,"sku":"s","key":"key-0001"}"#);
        let digest = digest_of("u_li", &one);
        assert_eq!(digest.len(), 64);
        assert_eq!(digest_of("u_li", &same), digest);
        assert_ne!(digest_of("u_lin", &one), digest);
        for other in [
            r#"{"key":"key-0001","sku":"s","quantity":2,"attributes":{"a":1,"b":2}}"#,
            r#"{"key":"key-0001","sku":"t","quantity":1,"attributes":{"a":1,"b":2}}"#,
            r#"{"key":"key-0001","sku":"s","quantity":1,"attributes":{"a":1,"b":3}}"#,
        ] {
            assert_ne!(digest_of("u_li", &wish(other)), digest, "{other}");
        }
    }
}
