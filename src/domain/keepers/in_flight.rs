//! One request at a time: the next one is sent only after the answer to the one before.

/// A request that is under way or not, with what is to be remembered of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight<T = ()> {
    request: Option<T>,
    again: bool,
}

/// A request that is not under way any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered<T = ()> {
    /// What was remembered of it.
    pub request: T,
    /// Whether another one was to begin meanwhile.
    pub again: bool,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self {
            request: None,
            again: false,
        }
    }
}

impl<T> InFlight<T> {
    /// Begins `request`, unless one is under way. Answers whether to send it.
    pub fn begin(&mut self, request: T) -> bool {
        self.again = self.is_under_way();
        if !self.again {
            self.request = Some(request);
        }
        !self.again
    }

    /// Ends the request, if one is under way.
    pub fn end(&mut self) -> Option<Answered<T>> {
        let again = std::mem::take(&mut self.again);
        let request = self.request.take()?;
        Some(Answered { request, again })
    }

    /// The request that is under way.
    pub fn get(&self) -> Option<&T> {
        self.request.as_ref()
    }

    /// Whether a request is under way.
    pub fn is_under_way(&self) -> bool {
        self.request.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_begins_once_the_one_before_has_ended() {
        let mut in_flight = InFlight::default();
        assert_eq!(in_flight.end(), None);
        assert!(in_flight.begin(1));
        assert!(!in_flight.begin(2));
        assert_eq!(in_flight.get(), Some(&1));
        let answered = in_flight.end().map(|it| it.request);
        assert_eq!((answered, in_flight.is_under_way()), (Some(1), false));
        assert!(in_flight.begin(3));
    }

    #[test]
    fn a_request_that_could_not_begin_is_made_up_for_once() {
        let mut in_flight = InFlight::default();
        in_flight.begin(());
        in_flight.begin(());
        in_flight.begin(());
        let again = |in_flight: &mut InFlight| in_flight.end().is_some_and(|it| it.again);
        assert!(again(&mut in_flight));
        in_flight.begin(());
        assert!(!again(&mut in_flight));
    }
}
