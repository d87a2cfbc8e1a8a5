//! What the XML of storage services has in common: the first element tells what it is, and lists may be longer than what
//! is kept.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::cloud::paging::BUCKETS_MAX;

/// The name of the first element, without its namespace.
pub fn root_element(text: &str) -> Option<String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                return String::from_utf8(element.local_name().as_ref().to_vec()).ok();
            }
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Reads a list, XML or not, as far as it is kept: one element more than a list of buckets may have, so that a longer one
/// is noticed. The rest is passed over.
///
/// # Errors
/// As the format's own.
pub fn deserialize_bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() <= BUCKETS_MAX {
                match sequence.next_element()? {
                    Some(element) => kept.push(element),
                    None => return Ok(kept),
                }
            }
            while sequence.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }

    deserializer.deserialize_seq(Bounded(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Numbers(#[serde(deserialize_with = "deserialize_bounded")] Vec<u32>);

    #[test]
    fn lists_are_kept_up_to_the_bound_and_one() {
        for (count, expected) in
            [(0, 0), (3, 3), (BUCKETS_MAX + 1, BUCKETS_MAX + 1), (BUCKETS_MAX + 99, BUCKETS_MAX + 1)]
        {
            let text = serde_json::to_string(&vec![7; count]).expect("numbers have a JSON form");
            let numbers: Numbers = serde_json::from_str(&text).expect("a list");
            assert_eq!(numbers.0.len(), expected);
        }
        assert!(serde_json::from_str::<Numbers>("[1, \"x\"]").is_err());
    }

    #[test]
    fn the_first_element_tells_what_it_is() {
        for (text, expected) in [
            ("<?xml version=\"1.0\"?>\n<!-- x --><a:List xmlns:a=\"u\"><b/></a:List>", Some("List")),
            ("<Empty/>", Some("Empty")),
            ("text", None),
            ("", None),
            ("<", None),
        ] {
            assert_eq!(root_element(text).as_deref(), expected, "{text}");
        }
    }
}
