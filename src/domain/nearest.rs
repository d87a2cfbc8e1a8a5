//! The known name that somebody may have meant by a mistyped one.

/// Most edits between a mistyped name and the one that is suggested for it.
const EDITS_MAX: usize = 3;
/// Longer names are compared by their beginning: the time must not grow with what a client sends.
const COMPARED_MAX_CHARACTERS: usize = 64;

/// The known name with the fewest edits: at most three, and fewer than half of the name's characters, since otherwise
/// any short name would be near to any other.
pub fn nearest<Known: AsRef<str> + Ord>(name: &str, known: impl Iterator<Item = Known>) -> Option<Known> {
    let found = known.map(|known| (distance(name, known.as_ref()), known)).min();
    let is_near = |edits: usize| edits <= EDITS_MAX && edits * 2 < name.chars().count();
    found.filter(|(edits, _)| is_near(*edits)).map(|(_, known)| known)
}

/// `, did you mean …?` with the nearest name, or nothing.
pub fn suggest(name: &str, known: impl Iterator<Item = String>) -> String {
    nearest(name, known).map_or_else(String::new, |known| format!(", did you mean {known}?"))
}

/// Edit distance (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(COMPARED_MAX_CHARACTERS).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, character) in left.chars().take(COMPARED_MAX_CHARACTERS).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in right.iter().enumerate() {
            let substitution = diagonal + usize::from(character != *other);
            diagonal = row[column + 1];
            row[column + 1] = substitution.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: Option<&str>) {
        let known = ["listen", "uid", "use_cache", "url"];
        assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
    }

    #[test]
    fn the_nearest_name_is_found() {
        check("lisen", Some("listen"));
        check("use_cash", Some("use_cache"));
        check("usecache", Some("use_cache"));
        check("uidd", Some("uid"));
        check("url", Some("url"));
        check("", None);
        check("x", None);
        check("ro", None);
        check("uxy", None);
        check("l1st3m", None);
        check("something_else", None);
        check(&"u".repeat(4096), None);
        assert_eq!(suggest("lisen", ["listen".to_owned()].into_iter()), ", did you mean listen?");
        assert_eq!(suggest("elsewhere", ["listen".to_owned()].into_iter()), "");
    }

    #[test]
    fn edits_are_counted() {
        let cases = [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("ü", "u", 1)];
        for (left, right, expected) in cases {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }
}
