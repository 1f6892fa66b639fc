//! What can go wrong in the core.

use std::path::PathBuf;

/// A result of the core.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in the core; the bindings map each kind to one Python exception.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument is out of range: fix the program.
    #[error("{0}")]
    Invalid(String),

    /// A call came at the wrong time, such as a second start: fix the program.
    #[error("{0}")]
    Lifecycle(String),

    /// A line cannot become a record, and the policy is to fail.
    #[error("the line at byte {line_start} is not a record: {reason}")]
    InvalidLine {
        /// Offset of the line's first byte from the beginning of the file or of the connection.
        line_start: u64,
        /// Offset of the first byte that is wrong.
        byte: u64,
        /// What is wrong with it.
        reason: String,
    },

    /// Stored bytes are not what they should be.
    #[error("{reason} (at byte {offset})")]
    Malformed {
        /// Where reading stopped, bytes from the beginning.
        offset: usize,
        /// What is wrong there.
        reason: String,
    },

    /// Stored bytes have a layout that a newer version made.
    #[error("the layout has version {0}")]
    NewerFormat(i64),

    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}
