//! Counts vectors, and tells of all that failed at once.

/// What became of a list of vectors.
pub(crate) struct Tally {
    what: &'static str,
    passed: usize,
    failed: Vec<String>,
}

impl Tally {
    pub(crate) fn of(what: &'static str) -> Self {
        Self {
            what,
            passed: 0,
            failed: Vec::new(),
        }
    }

    /// One vector: what was to be answered, and what was.
    pub(crate) fn expect(&mut self, vector: &str, wanted: &str, answered: &str) {
        if wanted == answered {
            self.passed += 1;
        } else {
            self.failed
                .push(format!("{vector}: wanted {wanted}, answered {answered}"));
        }
    }

    /// Fails if a vector did, or if there were not as many as there should be: a list that is empty proves nothing.
    #[expect(clippy::print_stdout, reason = "the numbers are to be seen")]
    pub(crate) fn finish(self, count: usize) {
        let (what, passed) = (self.what, self.passed);
        assert!(
            self.failed.is_empty(),
            "{what}: {passed} passed, {} failed:\n{}",
            self.failed.len(),
            self.failed.join("\n")
        );
        assert_eq!(
            passed, count,
            "{what}: another number of vectors than there should be"
        );
        println!("{passed} vectors passed: {what}");
    }
}

#[test]
#[should_panic(expected = "0 passed, 1 failed")]
fn a_vector_that_is_answered_otherwise_fails_its_list() {
    let mut tally = Tally::of("a wrong answer");
    tally.expect("vector", "WrongMac", "accepted");
    tally.finish(1);
}

#[test]
#[should_panic(expected = "another number of vectors")]
fn a_list_that_is_too_short_fails() {
    Tally::of("nothing").finish(1);
}
