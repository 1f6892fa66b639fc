//! A new file with space set aside, written at its end only.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::direct_file::{DIRECT_ALIGN, DIRECT_CALL_BYTES, DirectFile};
use crate::error::{Error, Result};

/// How many pieces go to the system in one call; Linux and macOS take 1,024.
const PIECES_MAX: usize = 1024;

/// Writes of so many bytes go past the page cache. Below it, what a call and the two ends that are not aligned cost is
/// more than the cache costs.
const DIRECT_BYTES_MIN: usize = 512 << 10;

/// A file that is written at its end only. After an error it takes nothing more: a second sync may report success
/// for data that the system has dropped.
#[derive(Debug)]
pub struct AppendFile {
    path: PathBuf,
    file: Option<File>,
    /// The way past the page cache; None where there is none.
    direct: Option<DirectFile>,
    written: u64,
    failed: bool,
}

impl AppendFile {
    /// Make a new file with so many bytes set aside, and make that durable; its name in the directory is not yet.
    pub fn create(path: &Path, size_bytes: u64) -> Result<Self> {
        let make = || -> io::Result<File> {
            let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
            let ready = reserve(&mut file, size_bytes).and_then(|()| file.sync_all());
            if let Err(error) = ready {
                // Why: on a full disk, what was set aside in part would make every new try worse. The error to tell
                // of is the first one, whether this works or not.
                let _ = std::fs::remove_file(path);
                return Err(error);
            }
            Ok(file)
        };
        let file = make().map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(file),
            direct: DirectFile::open(path),
            written: 0,
            failed: false,
        })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Write pieces one behind another at the end.
    pub fn write(&mut self, pieces: &mut [IoSlice<'_>]) -> Result<()> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let begin = self.written;
        self.perform(|file, way| match way {
            Some(direct) if length >= DIRECT_BYTES_MIN => {
                if !write_direct(file, direct, pieces, begin)? {
                    *way = None;
                }
                Ok(())
            }
            _ => write_all(file, pieces),
        })?;
        self.written += length as u64;
        Ok(())
    }

    /// Make all that was written durable: `fdatasync`, on macOS `F_FULLFSYNC`.
    pub fn sync(&mut self) -> Result<()> {
        self.perform(|file, _| file.sync_data())
    }

    /// Cut the file to what was written and let go of it; does not sync. A second call does nothing.
    pub fn close(&mut self) -> Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        self.direct = None;
        // Why not cut after a failure: what the file holds is unknown, and its readers do not need the cut.
        let cut = if self.failed {
            Ok(())
        } else {
            file.set_len(self.written)
        };
        cut.map_err(|source| self.error(source))
    }

    fn perform(
        &mut self,
        act: impl FnOnce(&mut File, &mut Option<DirectFile>) -> io::Result<()>,
    ) -> Result<()> {
        let Some(file) = self.file.as_mut().filter(|_| !self.failed) else {
            let state = if self.failed { "failed" } else { "was closed" };
            return Err(Error::Lifecycle(format!(
                "{} {state} and takes nothing more",
                self.path.display()
            )));
        };
        act(file, &mut self.direct).map_err(|source| {
            self.failed = true;
            self.error(source)
        })
    }

    fn error(&self, source: io::Error) -> Error {
        Error::File {
            path: self.path.clone(),
            source,
        }
    }
}

fn write_all(file: &mut File, mut pieces: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        let some = pieces.len().min(PIECES_MAX);
        match file.write_vectored(&pieces[..some]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut pieces, count),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Write pieces from an offset on, which is where the file stands before and after: what is aligned past the page cache,
/// what is before and behind it through the cache. False where the file system refuses the way past it.
///
/// Why the ends so: small writes that come between share their blocks, and go through the cache. A block that is written
/// both ways has to be written back, dropped and read again each time.
fn write_direct(
    file: &mut File,
    direct: &mut DirectFile,
    mut pieces: &mut [IoSlice<'_>],
    mut offset: u64,
) -> io::Result<bool> {
    let mut refused = false;
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() && !refused {
        let beyond = (offset % DIRECT_ALIGN as u64) as usize;
        let wanted = if beyond == 0 {
            DIRECT_CALL_BYTES
        } else {
            DIRECT_ALIGN - beyond
        };
        let mut length = fill(&mut direct.memory()[..wanted], pieces);
        let aligned = beyond == 0 && length >= DIRECT_ALIGN;
        if aligned {
            length -= length % DIRECT_ALIGN;
            refused = !direct.write(length, offset)?;
        }
        if !aligned || refused {
            file.write_all_at(&direct.memory()[..length], offset)?;
        }
        IoSlice::advance_slices(&mut pieces, length);
        offset += length as u64;
    }
    file.seek(SeekFrom::Start(offset))?;
    write_all(file, pieces)?;
    Ok(!refused)
}

/// Copy the beginning of pieces, as much as there is room for; give how much that was.
fn fill(room: &mut [u8], pieces: &[IoSlice<'_>]) -> usize {
    let mut filled = 0;
    for piece in pieces {
        let some = piece.len().min(room.len() - filled);
        room[filled..filled + some].copy_from_slice(&piece[..some]);
        filled += some;
    }
    filled
}

/// Set space aside, so that neither the file's size nor its extents change when it is appended to.
fn reserve(file: &mut File, size_bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;

        if size_bytes == 0 {
            return Ok(());
        }
        loop {
            // SAFETY: the descriptor is open for writing as long as `file` lives; no memory is passed.
            let done =
                unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size_bytes as libc::off_t) };
            if done == 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                // File systems without the call, such as some overlays and network ones.
                Some(libc::EOPNOTSUPP | libc::ENOSYS) => break,
                _ => return Err(error),
            }
        }
    }
    write_zeros(file, size_bytes)
}

fn write_zeros(file: &mut File, size_bytes: u64) -> io::Result<()> {
    let zeros = vec![0; (1 << 20).min(size_bytes as usize)];
    let mut left = size_bytes;
    while left > 0 {
        let some = left.min(zeros.len() as u64);
        file.write_all(&zeros[..some as usize])?;
        left -= some;
    }
    file.rewind()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("millstream-append-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory.join(name)
    }

    #[test]
    fn pieces_follow_each_other_and_the_rest_is_zero_until_closed() {
        let path = path("pieces");
        let mut file = AppendFile::create(&path, 64).unwrap();
        file.write(&mut [
            IoSlice::new(b"one"),
            IoSlice::new(b""),
            IoSlice::new(b"two"),
        ])
        .unwrap();
        file.write(&mut [IoSlice::new(b"!")]).unwrap();
        file.sync().unwrap();
        let mut content = b"onetwo!".to_vec();
        content.resize(64, 0);
        assert_eq!(std::fs::read(&path).unwrap(), content);
        file.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"onetwo!");
        assert!(file.write(&mut [IoSlice::new(b"x")]).is_err());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn more_pieces_than_one_call_takes_are_written() {
        let path = path("many");
        let mut file = AppendFile::create(&path, 0).unwrap();
        let mut pieces: Vec<_> = (0..3000).map(|_| IoSlice::new(b"ab")).collect();
        file.write(&mut pieces).unwrap();
        file.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"ab".repeat(3000));
        std::fs::remove_file(path).unwrap();
    }

    /// Write pieces of many sizes, small ones and such as go past the page cache, and give what should be there.
    fn write_sizes(file: &mut AppendFile) -> Vec<u8> {
        let sizes = [
            1,
            DIRECT_BYTES_MIN,
            3,
            4095,
            DIRECT_CALL_BYTES * 2 + 5,
            8192 - 12,
            4096,
            0,
        ];
        let mut content = Vec::new();
        for (index, size) in sizes.into_iter().enumerate() {
            let bytes: Vec<u8> = (0..size).map(|at| (at / 3 + index) as u8).collect();
            let (before, behind) = bytes.split_at(size / 3);
            let mut pieces = [before, b"", behind].map(IoSlice::new);
            file.write(&mut pieces).unwrap();
            file.sync().unwrap();
            content.extend(bytes);
            // A reader beside the writer, whose reads fill the page cache with what is around the end.
            assert!(std::fs::read(file.path()).unwrap().starts_with(&content));
        }
        content
    }

    #[test]
    fn large_pieces_stand_where_they_would_through_the_page_cache() {
        let path = path("large");
        let mut file = AppendFile::create(&path, 4 << 20).unwrap();
        let content = write_sizes(&mut file);
        file.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn large_pieces_may_go_beyond_what_was_set_aside() {
        let path = path("beyond");
        let mut file = AppendFile::create(&path, 10).unwrap();
        let content = write_sizes(&mut file);
        file.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        std::fs::remove_file(path).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_system_that_refuses_is_written_through_the_page_cache() {
        let path = path("refused");
        let mut file = AppendFile::create(&path, 4 << 20).unwrap();
        // Takes numbers, and answers to anything else as a file system does that cannot be written directly.
        let other = OpenOptions::new()
            .write(true)
            .open("/proc/self/oom_score_adj");
        file.direct = Some(DirectFile::new(other.unwrap()));
        let content = write_sizes(&mut file);
        assert!(file.direct.is_none());
        file.close().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        std::fs::remove_file(path).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_error_of_the_disk_is_final_past_the_page_cache_too() {
        let path = path("full");
        let mut file = AppendFile::create(&path, 4 << 20).unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        file.direct = Some(DirectFile::new(full));
        let bytes = vec![1; DIRECT_BYTES_MIN];
        assert!(file.write(&mut [IoSlice::new(&bytes)]).is_err());
        assert!(file.write(&mut [IoSlice::new(b"x")]).is_err());
        assert_eq!(file.written(), 0);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_exists_is_not_taken() {
        let path = path("taken");
        std::fs::write(&path, b"mine").unwrap();
        assert!(matches!(
            AppendFile::create(&path, 10),
            Err(Error::File { .. })
        ));
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn zeros_set_space_aside_too() {
        let path = path("zeros");
        let mut file = File::create(&path).unwrap();
        write_zeros(&mut file, (1 << 20) + 5).unwrap();
        file.write_all(b"x").unwrap();
        let content = std::fs::read(&path).unwrap();
        assert_eq!(
            (content.len(), content[0], content[1]),
            ((1 << 20) + 5, b'x', 0)
        );
        std::fs::remove_file(path).unwrap();
    }
}
