//! The queue of log lines. A separate thread writes them, so that no other thread waits for the reader of the log.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing_subscriber::fmt::MakeWriter;

/// The name of the metric that counts lost lines.
pub(in crate::cli) const LOST_LINES: &str = "redis_keeper_log_lines_dropped_total";

/// The number of lines that may wait. Lines beyond it are lost.
const ROOM: usize = 8192;

/// How long [`Flush::run`] waits for room in the queue, and then again for its turn. A keeper that ends must not hang
/// for its log.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(200);

enum Entry {
    Line(Vec<u8>),
    /// A mark that is dropped once all lines before it are written.
    Mark(#[expect(dead_code, reason = "its drop is what counts")] Sender<()>),
}

/// The writing end of the queue.
#[derive(Clone)]
pub(super) struct Lines {
    queue: Sender<Entry>,
    lost: Arc<Lost>,
}

/// Waits until the lines in the queue are written.
#[derive(Clone)]
pub(super) struct Flush(Sender<Entry>);

/// The number of lost lines: without room in the queue, or not writable.
#[derive(Default)]
struct Lost(AtomicU64);

// === impl Lines ===

impl Lines {
    /// Starts a thread that writes each line to `out` in one piece. The thread lives as long as the process.
    pub(super) fn written_to(out: impl Write + Send + 'static) -> io::Result<(Self, Flush)> {
        let (queue, entries) = bounded(ROOM);
        let lost = Arc::new(Lost::default());
        let counted = lost.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_out(&entries, out, &counted))?;
        let flush = Flush(queue.clone());
        Ok((Self { queue, lost }, flush))
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Entry::Line(line.to_owned())).is_err() {
            self.lost.count();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

fn write_out(entries: &Receiver<Entry>, mut out: impl Write, lost: &Lost) {
    let mut told = 0;
    for entry in entries {
        let Entry::Line(line) = entry else { continue };
        if out.write_all(&line).is_err() {
            lost.count();
        } else if entries.is_empty() {
            told = lost.tell(told);
        }
    }
}

// === impl Flush ===

impl Flush {
    /// Returns once all lines so far are written, or after the time limits.
    pub(super) fn run(&self) {
        let (mark, written) = bounded::<()>(0);
        if self
            .0
            .send_timeout(Entry::Mark(mark), FLUSH_TIMEOUT)
            .is_ok()
        {
            // The mark's end is the answer.
            let _ = written.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

// === impl Lost ===

impl Lost {
    fn count(&self) {
        let total = self.0.fetch_add(1, Ordering::Relaxed) + 1;
        metrics::counter!(LOST_LINES).absolute(total);
    }

    /// Logs the number of lost lines beyond `told`. Returns the total, as the next `told`.
    fn tell(&self, told: u64) -> u64 {
        let total = self.0.load(Ordering::Relaxed);
        if total > told {
            let lines = total - told;
            tracing::warn!(
                lines,
                "lines of the log were lost: nobody took them in time"
            );
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes a line for each message, and all lines after the last message.
    struct Reader {
        may_take: mpsc::Receiver<()>,
        taken: mpsc::Sender<String>,
    }

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.may_take.recv();
            let text = String::from_utf8_lossy(line).into_owned();
            self.taken.send(text).expect("the test listens");
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_beyond_the_room_are_lost_and_counted_and_the_others_come_in_order() {
        let (let_take, may_take) = mpsc::channel();
        let (taken, out) = mpsc::channel();
        let (mut lines, flush) = Lines::written_to(Reader { may_take, taken }).expect("a thread");
        writeln!(lines, "the first").expect("no error");
        // The thread holds the first line, so the queue is empty again.
        while !lines.queue.is_empty() {
            std::thread::yield_now();
        }
        for number in 0..ROOM + 7 {
            lines
                .write_all(format!("{number}\n").as_bytes())
                .expect("no error");
        }
        assert_eq!(lines.lost.0.load(Ordering::Relaxed), 7);
        flush.run();
        assert!(
            out.try_recv().is_err(),
            "a flush has its end, though nothing moves"
        );

        drop(let_take);
        flush.run();
        let all: Vec<_> = out.try_iter().collect();
        assert_eq!(all[0], "the first\n");
        assert_eq!(all[ROOM], format!("{}\n", ROOM - 1));
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_the_next_ones_tried() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (mut lines, flush) = Lines::written_to(Full).expect("a thread");
        for line in ["a\n", "b\n"] {
            lines.write_all(line.as_bytes()).expect("no error");
        }
        flush.run();
        assert_eq!(lines.lost.0.load(Ordering::Relaxed), 2);
    }
}
