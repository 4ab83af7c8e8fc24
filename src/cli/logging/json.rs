//! The JSON format of the log: each line is one flat object, with each key once. A field has one type in all lines.

use std::fmt;

use serde::Serializer as _;
use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// Fields with numbers whose types write themselves as text.
const NUMBERS: [&str; 3] = ["epoch", "newest", "seen"];

/// Writes an event together with the fields of its spans.
///
/// - The event's fields win over those of spans, and inner spans win over outer ones. The line's own keys
///   (`timestamp`, `level`, `target`) win over all.
/// - A span's field `name` gets the name of the span as its key: `cluster{name=orders}` becomes `"cluster":"orders"`.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        let scope = context.event_scope();
        for span in scope.into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                let named = object(fields).into_iter().map(|(key, value)| {
                    let is_name = key == "name";
                    (if is_name { span.name().to_owned() } else { key }, value)
                });
                line.extend(named);
            }
        }
        let mut own = String::new();
        context.format_fields(Writer::new(&mut own), event)?;
        line.extend(object(&own));
        for key in NUMBERS {
            if let Some(Value::String(text)) = line.get(key)
                && let Ok(number) = text.parse::<u64>()
            {
                line.insert(key.to_owned(), number.into());
            }
        }

        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let about = event.metadata();
        let head = [
            ("timestamp", timestamp),
            ("level", about.level().to_string()),
            ("target", about.target().to_owned()),
        ];
        let head = head.map(|(key, text)| {
            line.remove(key);
            (key.to_owned(), Value::String(text))
        });
        let mut text = Vec::new();
        serde_json::Serializer::new(&mut text)
            .collect_map(head.into_iter().chain(line))
            .map_err(|_| fmt::Error)?;
        writeln!(writer, "{}", String::from_utf8_lossy(&text))
    }
}

/// Parses `text`, an object, into its fields.
fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `tell` logs, without their times.
    fn logged(tell: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt()
            .json()
            .event_format(JsonLine)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, tell);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let timeless = |line: &str| {
            let rest = line.strip_prefix("{\"timestamp\":\"").unwrap();
            rest.split_once("\",").unwrap().1.to_owned()
        };
        text.lines().map(timeless).collect()
    }

    #[test]
    fn the_fields_of_spans_stand_beside_the_events_own_and_a_spans_name_under_what_it_is() {
        let lines = logged(|| {
            let cluster = tracing::info_span!("cluster", name = %"orders");
            let _in_cluster = cluster.enter();
            let task = tracing::info_span!("task", cluster = %"orders", epoch = %41);
            let _in_task = task.enter();
            tracing::warn!(node = %"10.0.0.1:6379", epoch = %42, votes = 2, "held down");
        });
        assert_eq!(
            lines,
            [concat!(
                r#""level":"WARN","target":"redis_keeper::cli::logging::json::tests","#,
                r#""cluster":"orders","epoch":42,"message":"held down","node":"10.0.0.1:6379","votes":2}"#
            )]
        );
    }

    #[test]
    fn no_field_takes_the_place_of_what_every_line_has_and_no_key_comes_twice() {
        let lines = logged(|| {
            let span = tracing::info_span!("outer", level = 7, error = "outer");
            let _in_span = span.enter();
            tracing::info!(timestamp = 1, level = 2, target = 3, error = %"a \"quoted\"\nline", "told");
        });
        assert_eq!(
            lines,
            [concat!(
                r#""level":"INFO","target":"redis_keeper::cli::logging::json::tests","#,
                r#""error":"a \"quoted\"\nline","message":"told"}"#
            )]
        );
    }
}
