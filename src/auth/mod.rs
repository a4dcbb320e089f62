//! Signed tokens: who may play, publish, speak and operate where.
