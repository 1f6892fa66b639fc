//! The hot loops of millstream: bytes and Arrow in and out, no Python.

pub mod error;
pub mod hash;
