//! Virtual time.

use actix::System;
use tokio::runtime::Builder;

/// Runs `test` on this thread. The clock stands still while there is work, then leaps to the next timer.
pub(crate) fn on_virtual_time<F: Future>(test: F) -> F::Output {
    let runtime = || {
        let builder = &mut Builder::new_current_thread();
        // The test needs no sockets and no processes, so everything takes virtual time.
        let paused = builder.enable_time().start_paused(true);
        paused.build().expect("a runtime")
    };
    System::with_tokio_rt(runtime).block_on(test)
}
