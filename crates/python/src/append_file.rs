//! A new file that is written at its end only.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use millstream_core::append_file;
use millstream_core::error::Result;
use pyo3::prelude::*;

use crate::bytes::Bytes;
use crate::error::raise;

/// Add what this file offers to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AppendFile>()
}

/// A new file with space set aside, written at its end only.
#[pyclass(frozen, module = "millstream._core")]
struct AppendFile {
    file: Mutex<append_file::AppendFile>,
}

impl AppendFile {
    /// Do something with the file without the GIL.
    fn act<T: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut append_file::AppendFile) -> Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| act(&mut self.file.lock().unwrap_or_else(PoisonError::into_inner)))
            .map_err(|error| raise(py, error))
    }
}

#[pymethods]
impl AppendFile {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, size_bytes: u64) -> PyResult<Self> {
        py.detach(|| append_file::AppendFile::create(&path, size_bytes))
            .map(|file| Self {
                file: Mutex::new(file),
            })
            .map_err(|error| raise(py, error))
    }

    /// How many bytes were written.
    #[getter]
    fn written(&self) -> u64 {
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .written()
    }

    fn write(&self, py: Python<'_>, pieces: Vec<Bytes<'_>>) -> PyResult<()> {
        let mut slices = slices(&pieces);
        self.act(py, |file| file.write(&mut slices))
    }

    fn append(&self, py: Python<'_>, pieces: Vec<Bytes<'_>>) -> PyResult<()> {
        let mut slices = slices(&pieces);
        self.act(py, |file| {
            file.write(&mut slices)?;
            file.sync()
        })
    }

    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.act(py, append_file::AppendFile::sync)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.act(py, append_file::AppendFile::close)
    }
}

fn slices<'a>(pieces: &'a [Bytes<'_>]) -> Vec<IoSlice<'a>> {
    pieces
        .iter()
        .map(|piece| IoSlice::new(piece.as_slice()))
        .collect()
}
