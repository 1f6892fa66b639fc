//! Kafka: a client with its health, bulk reading into Arrow columns, and a watch over topics and offsets.

pub mod client;
pub mod error;
mod feed;
pub mod group;
pub mod health;
mod kept;
pub mod list;
mod message;
pub mod offsets;
pub mod reader;
pub mod records;
pub mod topics;
pub mod watch;
