//! The hot loops of millstream: bytes and Arrow in and out, no Python.

pub mod append_file;
pub mod backoff;
pub mod block;
pub mod bucket;
pub mod chunk;
pub mod chunk_file;
pub mod chunk_merge;
pub mod chunk_reader;
pub mod chunk_writer;
pub mod connect;
pub mod cutter;
pub mod error;
pub mod group;
pub mod hash;
pub mod kafka;
pub mod key_index;
pub mod lines;
mod little_endian;
pub mod message;
pub mod pairs;
pub mod read;
mod receiver;
pub mod segment;
pub mod segment_scan;
pub mod socket;
pub mod word_counts;
pub mod words;
