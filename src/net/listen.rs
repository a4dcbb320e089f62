//! Listen addresses in configurations: `IP:PORT`, or `"off"`.

use std::net::SocketAddr;

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

/// The word that closes a listener which is open by default.
const OFF: &str = "off";

/// Reads an address or `"off"`, for `#[serde(with = "crate::net::listen")]`.
///
/// Errors: the text is neither.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(from)?;
    if text == OFF {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        serde::de::Error::custom(format!(
            "{text:?} is no address: use IP:PORT such as \"0.0.0.0:8080\" or \"[::]:8080\" \
             (port 0 takes a free one), or \"off\""
        ))
    })
}

/// The reverse of [`deserialize`].
pub fn serialize<S: Serializer>(address: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => address.serialize(to),
        None => OFF.serialize(to),
    }
}
