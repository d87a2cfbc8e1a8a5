//! Follows a list page by page, up to a bound; a list that is cut says so.

use futures_util::future::BoxFuture;

use crate::cloud::verdict;
use crate::domain::bucket::Bucket;
use crate::domain::verdict::{Findings, Verdict};

/// Most buckets of one list; a longer one is cut.
const BUCKETS_MAX: usize = 20_000;
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

/// Asks for pages until the list ends.
///
/// # Errors
/// The verdict on the first page. Where a later one fails, the list is cut there.
pub async fn follow<'a, M: Clone + PartialEq>(
    ask: impl Fn(Option<M>) -> BoxFuture<'a, Result<Page<M>, Verdict>>,
) -> Result<Findings, Verdict> {
    let mut findings = Findings::default();
    let mut mark = None;
    for _ in 0..PAGES_MAX {
        let page = match ask(mark.clone()).await {
            Ok(page) => page,
            Err(verdict) if mark.is_none() => return Err(verdict),
            Err(verdict) => return Ok(cut(findings, verdict::list_cut_by(&verdict))),
        };
        findings.buckets.extend(page.buckets);
        match page.next {
            Next::End if findings.buckets.len() <= BUCKETS_MAX => return Ok(findings),
            Next::Mark(next) if mark.as_ref() != Some(&next) => mark = Some(next),
            Next::Mark(_) | Next::Unknown => return Ok(cut(findings, verdict::list_cut_by_server())),
            Next::End => break,
        }
        if findings.buckets.len() > BUCKETS_MAX {
            break;
        }
    }
    findings.buckets.truncate(BUCKETS_MAX);
    let note = verdict::list_cut_at_bound(findings.buckets.len());
    Ok(cut(findings, note))
}

fn cut(mut findings: Findings, note: Verdict) -> Findings {
    findings.notes.push(note);
    findings
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
        check(|_| Ok(page(0, 2, Next::Mark(7))), Ok((4, cut)));
        check(|at| Ok(page(at, 1, Next::Mark(at + 1))), Ok((PAGES_MAX, cut)));
        check(|at| Ok(page(at, 1000, Next::Mark(at + 1000))), Ok((BUCKETS_MAX, cut)));
        check(|_| Ok(page(0, BUCKETS_MAX, Next::End)), Ok((BUCKETS_MAX, &[])));
        check(|_| Ok(page(0, BUCKETS_MAX + 1, Next::End)), Ok((BUCKETS_MAX, cut)));
        check(|_| Err(verdict::access_denied()), Err("access_denied"));
        let later = |at| if at == 0 { Ok(page(0, 2, Next::Mark(2))) } else { Err(verdict::access_denied()) };
        check(later, Ok((2, cut)));
    }
}
