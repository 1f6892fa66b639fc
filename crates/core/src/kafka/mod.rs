//! Kafka: a client with its health, bulk reading into Arrow columns, bulk writing of them, and a watch over topics and
//! offsets.

mod admin;
pub mod client;
pub mod deliveries;
pub mod error;
mod feed;
pub mod group;
pub mod health;
mod kept;
pub mod list;
mod message;
pub mod offsets;
pub mod outgoing;
pub mod producer;
pub mod reader;
pub mod records;
pub mod topic_making;
pub mod topics;
pub mod transaction;
pub mod watch;
