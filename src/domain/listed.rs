//! Lists in words that stay readable, however long they are.

/// How many items are named: a log entry with two hundred names is not read.
const NAMED: usize = 10;

/// The first ten items with commas between them, and how many more there are.
pub fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut items = items.into_iter();
    let named: Vec<_> = items
        .by_ref()
        .take(NAMED)
        .map(|it| it.to_string())
        .collect();
    let named = named.join(", ");
    match items.count() {
        0 => named,
        more => format!("{named}, and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_are_named_and_the_others_counted() {
        assert_eq!(listed([1, 2, 3]), "1, 2, 3");
        assert_eq!(listed(1..=10), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
        assert_eq!(listed(1..=12), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, and 2 more");
        assert_eq!(listed::<u8>([]), "");
    }
}
