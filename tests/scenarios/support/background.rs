//! A runtime beside the tests' own.

use std::sync::LazyLock;

/// Runs what must go on while a test's own thread is busy: links and writers.
pub(crate) static BACKGROUND: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("background")
        .enable_all()
        .build()
        .expect("a runtime for links and writers")
});
