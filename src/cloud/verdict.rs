//! The words of every verdict: what is wrong, how far the test came, and what to change. Never a raw answer, never a
//! secret; of what a server sends only short plain words are shown, and none that were sent to it.

mod answer;
mod configuration;
mod listing;
mod other_service;
mod tls;
mod transport;

use std::time::Duration;

pub use answer::*;
pub use configuration::*;
pub use listing::*;
pub use other_service::*;
pub use tls::*;
pub use transport::*;

use crate::cloud::place::Place;
use crate::domain::verdict::Verdict;

impl Verdict {
    /// About the attribute of a place, where it has one.
    fn at(self, place: Place) -> Self {
        match place.attribute {
            Some(attribute) => self.about(attribute),
            None => self,
        }
    }
}

/// A time for people.
fn seconds(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds if milliseconds < 995 => format!("{} milliseconds", (milliseconds + 5) / 10 * 10),
        milliseconds if milliseconds < 1500 => "one second".to_owned(),
        milliseconds => format!("{} seconds", (milliseconds + 500) / 1000),
    }
}

/// A first letter made large, for a place at the beginning of a sentence.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
