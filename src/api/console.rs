//! The console: the files of `src/console/`, embedded in the program and served to anybody. What is behind them asks the
//! API, with credentials.

use std::iter;
use std::sync::OnceLock;

use hyper::body::Bytes;
use percent_encoding::percent_decode_str;

use crate::api::browser::{PAGE_HEADER, SECURE_PAGE_HEADER};
use crate::api::constant::Constant;
use crate::api::error::ApiError;
use crate::api::request::Call;
use crate::api::routes::Answer;
use crate::config::TlsConfig;

/// A file of the console.
struct File {
    /// Its path below `src/console/`, under which it is served; its type follows from its ending.
    path: &'static str,
    bytes: &'static [u8],
}

macro_rules! embedded {
    ($path:literal) => {
        File { path: $path, bytes: include_bytes!(concat!("../console/", $path)) }
    };
}

/// Every file that is served; the first is the page itself.
const FILES: &[File] = &[
    embedded!("index.html"),
    embedded!("api.js"),
    embedded!("console.css"),
    embedded!("fragment.js"),
    embedded!("icon.svg"),
    embedded!("jobs.js"),
    embedded!("lists.js"),
    embedded!("main.js"),
    embedded!("parts.js"),
    embedded!("problems.js"),
    embedded!("providers.js"),
    embedded!("session.js"),
    embedded!("snippets.js"),
    embedded!("vendor/lit-html/directive-helpers.js"),
    embedded!("vendor/lit-html/directive.js"),
    embedded!("vendor/lit-html/directives/if-defined.js"),
    embedded!("vendor/lit-html/directives/live.js"),
    embedded!("vendor/lit-html/directives/repeat.js"),
    embedded!("vendor/lit-html/lit-html.js"),
    embedded!("vendor/pico/pico.min.css"),
    embedded!("views/connector.js"),
    embedded!("views/connector_form.js"),
    embedded!("views/connector_test.js"),
    embedded!("views/connectors.js"),
    embedded!("views/curl_lines.js"),
    embedded!("views/destruction.js"),
    embedded!("views/end_dates.js"),
    embedded!("views/event_words.js"),
    embedded!("views/events.js"),
    embedded!("views/key_form.js"),
    embedded!("views/key_made.js"),
    embedded!("views/keys.js"),
    embedded!("views/operations.js"),
    embedded!("views/probing.js"),
    embedded!("views/reference.js"),
    embedded!("views/schema_words.js"),
    embedded!("views/scope_words.js"),
    embedded!("views/sign_in.js"),
];

/// The files as they are sent, each made when it is first asked for.
static MADE: [OnceLock<Constant>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];

/// Shows the page.
pub fn page(call: Call) -> Answer {
    Box::pin(async move {
        let reply = made(0).reply(&call.wanted);
        let is_secure = !matches!(call.app.config.tls, TlsConfig::Off);
        let headers = iter::once(PAGE_HEADER).chain(is_secure.then_some(SECURE_PAGE_HEADER));
        Ok(headers.fold(reply, |reply, (name, value)| reply.with_header(name, value)))
    })
}

/// Shows what the page is made of.
pub fn file(call: Call) -> Answer {
    Box::pin(async move {
        let wanted = percent_decode_str(&call.path_parameter).decode_utf8_lossy();
        let found = FILES.iter().skip(1).position(|file| file.path == wanted);
        let position = found.ok_or_else(|| ApiError::not_found("This file of the console"))?;
        Ok(made(position + 1).reply(&call.wanted))
    })
}

/// The names under which files are served, besides the page.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().skip(1).map(|file| file.path)
}

fn made(position: usize) -> &'static Constant {
    let file = &FILES[position];
    MADE[position].get_or_init(|| Constant::new(file.media_type(), Bytes::from_static(file.bytes)))
}

impl File {
    fn media_type(&self) -> &'static str {
        match self.path.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js" | "mjs") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml; charset=utf-8",
            Some(_) | None => "text/plain; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Endings of files that are kept with the others and not served: licences and notes on where files come from.
    const NOT_SERVED: &[&str] = &["LICENSE", ".md"];

    fn visit(directory: &Path, found: &mut Vec<String>, root: &Path) {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                visit(&path, found, root);
            } else {
                found.push(path.strip_prefix(root).expect("below it").display().to_string());
            }
        }
    }

    #[test]
    fn every_file_is_in_the_table_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console");
        let mut on_disk = Vec::new();
        visit(&root, &mut on_disk, &root);
        on_disk.retain(|path| !NOT_SERVED.iter().any(|ending| path.ends_with(ending)));
        on_disk.sort();
        let mut served: Vec<&str> = FILES.iter().map(|file| file.path).collect();
        served.sort_unstable();
        assert_eq!(served, on_disk, "src/console/ and the table of src/api/console.rs");
        assert_eq!(FILES[0].path, "index.html");
        for file in FILES {
            let text = std::str::from_utf8(file.bytes);
            assert!(text.is_ok_and(|text| !text.is_empty()), "{} is no text in UTF-8", file.path);
            assert!(!file.media_type().starts_with("text/plain"), "the type of {} is not known", file.path);
        }
    }
}
