//! A runtime beside the runtimes of the tests.

use std::sync::LazyLock;

/// Runs links and writers, which have to go on while a test's own thread is busy.
pub static BACKGROUND: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("background")
        .enable_all()
        .build()
        .expect("a runtime for links and writers")
});
