//! `millstream._core`: thin Python bindings of `millstream-core`, one file per file of the core.

mod append_file;
mod arrow;
mod block;
mod bucket;
mod bytes;
mod chunk;
mod chunk_file;
mod chunk_merge;
mod codec;
mod decoder;
mod encoder;
mod error;
mod group;
mod hash;
mod identity;
mod kafka;
mod kafka_client;
mod kafka_group;
mod kafka_producer;
mod kafka_record;
mod key;
mod key_index;
mod lines;
mod moment;
mod owned_bytes;
mod pairs;
mod parser;
mod rows;
mod rule;
mod segment;
mod segment_scan;
mod socket;
mod words;
mod writer;

use pyo3::prelude::*;

/// The Rust core of millstream; see `_core.pyi` for what it offers.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    /// Say whether the core was compiled without optimisation.
    #[pyfunction]
    fn debug_build() -> bool {
        cfg!(debug_assertions)
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("build_profile", crate::BUILD_PROFILE)?;
        module.add(
            "InvalidLineError",
            crate::error::invalid_line_error(module.py()),
        )?;
        crate::append_file::register(module)?;
        crate::block::register(module)?;
        crate::bucket::register(module)?;
        crate::chunk::register(module)?;
        crate::chunk_file::register(module)?;
        crate::chunk_merge::register(module)?;
        crate::codec::register(module)?;
        crate::group::register(module)?;
        crate::hash::register(module)?;
        crate::kafka::register(module)?;
        crate::kafka_client::register(module)?;
        crate::kafka_group::register(module)?;
        crate::kafka_producer::register(module)?;
        crate::kafka_record::register(module)?;
        crate::key_index::register(module)?;
        crate::lines::register(module)?;
        crate::owned_bytes::register(module)?;
        crate::pairs::register(module)?;
        crate::rows::register(module)?;
        crate::segment::register(module)?;
        crate::segment_scan::register(module)?;
        crate::socket::register(module)?;
        crate::words::register(module)?;
        crate::warn_of_debug_build(module.py())
    }
}

const BUILD_PROFILE: &str = if cfg!(debug_assertions) {
    "debug"
} else {
    "release"
};

/// A core without optimisation is ten times slower; who measures with it should know.
fn warn_of_debug_build(py: Python<'_>) -> PyResult<()> {
    if cfg!(debug_assertions) {
        let category = py.get_type::<pyo3::exceptions::PyRuntimeWarning>();
        PyErr::warn(
            py,
            &category,
            c"millstream._core was built in debug mode and is slow; build it with `make setup`",
            1,
        )?;
    }
    Ok(())
}
