//! `millstream._core`: thin Python bindings of `millstream-core`, one file per file of the core.

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
        module.add(
            "build_profile",
            if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
        )
    }
}
