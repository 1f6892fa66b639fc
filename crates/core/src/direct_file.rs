//! A file written past the system's page cache.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What offsets, lengths and memory are multiples of, bytes: no less than the blocks of nearly all disks. A file system
/// that wants more refuses.
pub const DIRECT_ALIGN: usize = 4096;

/// How much goes to the disk in one call at most, bytes. With 256 KiB the calls took twice the CPU time, with 5 MiB a
/// tenth less; what is copied here should stay in the processor's cache.
pub const DIRECT_CALL_BYTES: usize = 1 << 20;

/// Another descriptor of a file, through which bytes go to the disk and leave nothing in the page cache.
///
/// A write through the cache costs the processor two to three times as much: pages are found, copied to, written back
/// one by one and let go. What was written here is durable when any descriptor of the file was synced behind it, and
/// whoever reads the file sees it.
#[derive(Debug)]
pub struct DirectFile {
    file: File,
    /// Holds aligned bytes, and what is before and behind them.
    memory: Vec<u8>,
}

impl DirectFile {
    /// Open a file that exists; None where there is no such way.
    pub fn open(path: &Path) -> Option<Self> {
        let mut options = OpenOptions::new();
        options.write(true);
        #[cfg(target_os = "linux")]
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_DIRECT);
        // Why no error: its owner has the file open, and meets what is wrong with it.
        cfg!(target_os = "linux")
            .then(|| options.open(path).ok().map(Self::new))
            .flatten()
    }

    /// Take a descriptor that was opened for this.
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            memory: Vec::new(),
        }
    }

    /// Give the memory that `write` writes from, `DIRECT_CALL_BYTES` long.
    pub fn memory(&mut self) -> &mut [u8] {
        if self.memory.is_empty() {
            self.memory = vec![0; DIRECT_CALL_BYTES + DIRECT_ALIGN];
        }
        let begin = self.memory.as_ptr().align_offset(DIRECT_ALIGN);
        &mut self.memory[begin..begin + DIRECT_CALL_BYTES]
    }

    /// Write so many bytes of the memory at an offset, both multiples of `DIRECT_ALIGN`.
    ///
    /// Returns false where the file system refuses this way; then some may have been written, and some not.
    pub fn write(&self, length: usize, offset: u64) -> io::Result<bool> {
        let begin = self.memory.as_ptr().align_offset(DIRECT_ALIGN);
        let mut left = &self.memory[begin..begin + length];
        let mut offset = offset;
        while !left.is_empty() {
            match self.file.write_at(left, offset) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    left = &left[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::InvalidInput => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
