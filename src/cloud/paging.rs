//! Follows a list page by page, up to a bound; a list that is cut says so.

use futures_util::future::BoxFuture;

use crate::cloud::verdict;
use crate::domain::bucket::{self, Bucket};
use crate::domain::verdict::{Findings, Verdict};

/// Most buckets of one list; a longer one is cut.
pub const BUCKETS_MAX: usize = 20_000;
/// Most bytes of all names of one list, so that a list always fits into one record of the store.
const NAMES_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most pages of one list, so that a server which sends one bucket a page ends too.
const PAGES_MAX: usize = 500;

/// One page of a list.
#[derive(Debug)]
pub struct Page<M> {
    /// In the order of the answer.
    pub buckets: Vec<Bucket>,
    /// What comes after it.
    pub next: Next<M>,
}

/// What comes after a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<M> {
    /// Nothing.
    End,
    /// The page that this mark asks for.
    Mark(M),
    /// More, but the server does not say how to ask for it.
    Unknown,
}

/// Asks for pages until the list ends; sorts by name what they have, and leaves out names that cannot be shown.
///
/// # Errors
/// The verdict on the first page. Where a later one fails, the list is cut there.
pub async fn follow<'a, M: Clone + PartialEq>(
    ask: impl Fn(Option<M>) -> BoxFuture<'a, Result<Page<M>, Verdict>>,
) -> Result<Findings, Verdict> {
    let mut buckets = Vec::new();
    let (mut names_bytes, mut left_out) = (0, 0);
    let mut mark = None;
    let mut note = None;
    for page_number in 1..=PAGES_MAX {
        let page = match ask(mark.clone()).await {
            Ok(page) => page,
            Err(verdict) if mark.is_none() => return Err(verdict),
            Err(verdict) => {
                note = Some(verdict::list_cut_by(&verdict));
                break;
            }
        };
        for bucket in page.buckets {
            if bucket::is_shown(&bucket.name) {
                names_bytes += bucket.name.len();
                buckets.push(bucket);
            } else {
                left_out += 1;
            }
        }
        let is_over = buckets.len() > BUCKETS_MAX || names_bytes > NAMES_MAX_BYTES;
        match page.next {
            _ if is_over => note = Some(verdict::list_cut_at_bound()),
            Next::End => {}
            Next::Mark(next) if mark.as_ref() == Some(&next) => note = Some(verdict::list_cut_by_server()),
            Next::Mark(_) if page_number == PAGES_MAX => note = Some(verdict::list_cut_at_bound()),
            Next::Mark(next) => {
                mark = Some(next);
                continue;
            }
            Next::Unknown => note = Some(verdict::list_cut_by_server()),
        }
        break;
    }
    cut(&mut buckets);
    let left_out = (left_out > 0).then(|| verdict::names_left_out(left_out));
    Ok(Findings { buckets, notes: note.into_iter().chain(left_out).collect() })
}

/// Sorts, removes what is there twice, and keeps what a list may have.
fn cut(buckets: &mut Vec<Bucket>) {
    buckets.sort_by(|left, right| left.name.cmp(&right.name));
    buckets.dedup_by(|left, right| left.name == right.name);
    let mut names_bytes = 0;
    let fits = buckets.iter().take(BUCKETS_MAX).take_while(|bucket| {
        names_bytes += bucket.name.len();
        names_bytes <= NAMES_MAX_BYTES
    });
    let count = fits.count();
    buckets.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn page(first: usize, count: usize, next: Next<usize>) -> Page<usize> {
        let names = (first..first + count).map(|number| format!("b{number}"));
        Page { buckets: names.map(Bucket::named).collect(), next }
    }

    #[track_caller]
    fn check(ask: impl Fn(usize) -> Result<Page<usize>, Verdict>, expected: Result<(usize, &[&str]), &str>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let followed = runtime.block_on(follow(|mark: Option<usize>| {
            let answer = ask(mark.unwrap_or(0));
            async move { answer }.boxed()
        }));
        let actual = followed.map_err(|verdict| verdict.code).map(|findings| {
            let codes: Vec<String> = findings.notes.iter().map(|note| note.code.clone()).collect();
            (findings.buckets.len(), codes)
        });
        let expected = expected
            .map_err(str::to_owned)
            .map(|(count, codes)| (count, codes.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>()));
        assert_eq!(actual, expected);
    }

    #[test]
    fn lists_end_or_say_that_they_are_cut() {
        let cut: &[&str] = &["list_cut_short"];
        check(|_| Ok(page(0, 3, Next::End)), Ok((3, &[])));
        check(|at| Ok(page(at, 2, if at < 6 { Next::Mark(at + 2) } else { Next::End })), Ok((8, &[])));
        check(|_| Ok(page(0, 2, Next::Unknown)), Ok((2, cut)));
        // The same page again and again: each bucket is shown once.
        check(|_| Ok(page(0, 2, Next::Mark(7))), Ok((2, cut)));
        check(|at| Ok(page(at, 1, Next::Mark(at + 1))), Ok((PAGES_MAX, cut)));
        check(|at| Ok(page(at, 1000, Next::Mark(at + 1000))), Ok((BUCKETS_MAX, cut)));
        check(|_| Ok(page(0, BUCKETS_MAX, Next::End)), Ok((BUCKETS_MAX, &[])));
        check(|_| Ok(page(0, BUCKETS_MAX + 1, Next::End)), Ok((BUCKETS_MAX, cut)));
        check(|_| Err(verdict::too_many_requests()), Err("too_many_requests"));
        let named = |name: String| Page { buckets: vec![Bucket::named(name)], next: Next::End };
        check(|_| Ok(named("\u{1}".to_owned())), Ok((0, &["names_left_out"])));
        check(|_| Ok(named(String::new())), Ok((0, &["names_left_out"])));
        check(|_| Ok(named("x".repeat(1025))), Ok((0, &["names_left_out"])));
        let long = |number: usize| Bucket::named(format!("{number:01000}"));
        let many = || Page { buckets: (0..5000).map(long).collect(), next: Next::End };
        check(|_| Ok(many()), Ok((NAMES_MAX_BYTES / 1000, cut)));
        let later =
            |at| if at == 0 { Ok(page(0, 2, Next::Mark(2))) } else { Err(verdict::too_many_requests()) };
        check(later, Ok((2, cut)));
    }
}
