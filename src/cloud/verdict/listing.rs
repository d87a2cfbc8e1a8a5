//! Verdicts and notes on lists: cut ones, and buckets that were asked for one by one.

use crate::cloud::probing::Unreachable;
use crate::domain::verdict::{Stage, Verdict};

/// Most names in one sentence.
const NAMES_MAX: usize = 10;

/// Note: the list is as long as a list may be.
pub fn list_cut_at_bound() -> Verdict {
    list_cut_short("The list is longer than what can be shown.".to_owned())
}

/// Note: names that are empty, too long, or have control characters.
pub fn names_left_out(count: usize) -> Verdict {
    let message = format!("{count} buckets are left out: their names cannot be shown.");
    let hint = "Names without control characters, of at most 1,024 bytes, are shown.";
    Verdict::new(Stage::Answer, "names_left_out", message, hint)
}

/// Note: the server says that the list goes on, but not how to get the rest.
pub fn list_cut_by_server() -> Verdict {
    list_cut_short("The list goes on, but the server does not say how to get the rest of it.".to_owned())
}

/// Note: a later page could not be had.
pub fn list_cut_by(failure: &Verdict) -> Verdict {
    list_cut_short(format!("The list goes on, but asking for more of it failed: {}", failure.message))
}

fn list_cut_short(message: String) -> Verdict {
    let hint = "The connector itself works; what is shown is the beginning of the list.";
    Verdict::new(Stage::Answer, "list_cut_short", message, hint)
}

/// Whether a verdict says that the key may not list, or leaves it open, so that buckets can still be asked for by name.
pub fn denies_listing(verdict: &Verdict) -> bool {
    matches!(verdict.code.as_str(), "access_denied" | "list_not_allowed")
}

/// Note: this is no list of what there is.
pub fn buckets_probed(denial: &Verdict) -> Verdict {
    let message = format!("{} The buckets shown were asked for one by one.", denial.message);
    let hint = "The connector works for these buckets; there may be others.";
    Verdict::new(Stage::Authorization, "buckets_probed", message, hint)
}

/// Note: buckets that were asked for in vain.
pub fn buckets_not_reachable(names: &[(&str, Unreachable)]) -> Verdict {
    let message = format!("Not reachable: {}.", enumerate(names));
    let hint = "Check these names, and what the key may do.";
    Verdict::new(Stage::Authorization, "buckets_not_reachable", message, hint)
}

/// The denial of a list, where none of the buckets that were asked for could be reached either.
pub fn with_unreachable(denial: Verdict, names: &[(&str, Unreachable)]) -> Verdict {
    let message = format!(
        "{} None of the buckets that were asked for can be reached: {}.",
        denial.message,
        enumerate(names)
    );
    Verdict { message, ..denial }
}

fn enumerate(names: &[(&str, Unreachable)]) -> String {
    let mut words: Vec<String> = names
        .iter()
        .take(NAMES_MAX)
        .map(|(name, reason)| match reason {
            Unreachable::NotFound => format!("{name} (there is none of this name)"),
            Unreachable::Denied => format!("{name} (denied)"),
            Unreachable::Elsewhere => format!("{name} (kept elsewhere)"),
            Unreachable::Failed => format!("{name} (no answer that says so)"),
        })
        .collect();
    if names.len() > NAMES_MAX {
        words.push(format!("and {} more", names.len() - NAMES_MAX));
    }
    words.join(", ")
}
