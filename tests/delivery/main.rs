//! The viewer service, called as the front calls it, over a store that is fed by hand.

mod direct;
mod fallback;
mod flv;
mod hls;
mod show;
